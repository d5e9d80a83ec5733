package adjure_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat/adjure"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
)

// Who is disabled cannot be told from who typed a wrong code, and nothing of theirs
// is shown or changed: there they are like nobody.
func TestE2SomebodyDisabledIsLikeAWrongCode(t *testing.T) {
	h := newHouse(t, oracle)
	there, gone, never := h.provision("there"), h.provision("gone!"), &person{h: h, id: "never"}
	h.disable("gone!")
	same := func(what string, a, b compattest.Answer) {
		t.Helper()
		for _, x := range []*compattest.Answer{&a, &b} {
			x.Header = maps.Clone(x.Header)
			x.Header.Del("Date")
			x.Body = strings.NewReplacer("gone!", "NAME", "never", "NAME").Replace(x.Body)
		}
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%s:\n%v\n%v", what, a, b)
		}
	}
	same("a code", there.authenticate(there.wrong()), gone.authenticate(gone.code()))
	same("a recovery code", there.recover(strings.Repeat("0", 32)), gone.recover(gone.codes[0]))
	for _, path := range []string{"/user/auth_code?user_id=", "/user/qrcode?issuer=a&username=b&user_id="} {
		same(path, h.Do("GET", path+"gone!", ""), h.Do("GET", path+"never", ""))
	}
	same("new recovery codes", h.Do("POST", "/user/recovery/regenerate", object("user_id", "gone!")), h.Do("POST", "/user/recovery/regenerate", object("user_id", never.id)))
}

// Attack: a user_id that leads out of the facade's realm, or to people there who may
// do something in the gateway.
func TestTheRealmIsTheBorder(t *testing.T) {
	h := newHouse(t, oracle)
	mallory := h.User("mallory", "users", "mallory@example.com", "")
	h.update(func(tx store.Tx) error {
		_, err := h.Factors.Enroll(tx, account.Local(), mallory.ID, factor.EnrollOptions{Confirmed: true})
		return err
	})
	for _, id := range []string{"mallory", "mallory@users", "mallory@example.com"} {
		h.problem(id, h.Do("GET", "/user/auth_code?user_id="+id, ""), 400, "USER_NOT_FOUND", "User "+id+" has not been provisioned")
		h.problem(id, h.Do("POST", "/user/authenticate", object("user_id", id, "auth_code", "123456")), 400, "VALIDATION_FAILURE", id+" is not a known user.")
		h.problem(id, h.Do("POST", "/user/recovery/regenerate", object("user_id", id)), 400, "USER_NOT_FOUND", "User "+id+" has not been provisioned")
	}
	h.provision("mallory@users") // a name like any other

	p := h.provision("alice")
	h.update(func(tx store.Tx) error {
		grants := []account.Grant{{Capability: account.List}}
		_, err := h.Directory.SetRealm(tx, account.Local(), "adjure", account.Settings{}, &grants, 0)
		return err
	})
	const refused = "You may not do this."
	h.problem("the code of somebody with capabilities", h.Do("GET", "/user/auth_code?user_id=alice", ""), 400, "USER_NOT_FOUND", refused)
	h.problem("the seed", h.Do("GET", "/user/qrcode?user_id=alice&issuer=a&username=b", ""), 400, "INVALID_PARAMS", refused)
	h.problem("new codes", h.Do("POST", "/user/recovery/regenerate", object("user_id", "alice")), 400, "USER_NOT_FOUND", refused)
	h.problem("a new member", h.Do("POST", "/user/provision", object("user_id", "eve")), 400, "USER_PROVISION_FAILURE", refused)
	h.problem("a code", p.authenticate(p.code()), 400, "VALIDATION_FAILURE", refused)
}

// Attack: whoever may call reads the code of the moment, or the seed of an
// authenticator that is in use, and needs no authenticator.
func TestSeedsAndCodesAreNotShownWithoutTheOracle(t *testing.T) {
	h := newHouse(t)
	p := h.provision("alice")
	const off = "Reading codes is switched off here: set code_oracle of compat.adjure to allow it."
	const seen = "This authenticator was used already, and is not shown again: set code_oracle of compat.adjure to allow it."
	for _, id := range []string{"alice", "nobody"} {
		h.problem("a code of "+id, h.Do("GET", "/user/auth_code?user_id="+id, ""), 400, "INVALID_PARAMS", off)
	}
	picture := "/user/qrcode?user_id=alice&issuer=a&username=b"
	h.empty("a recovery code", p.recover(p.codes[0]))
	if a := h.Do("GET", picture, ""); a.Status != 200 {
		t.Errorf("before the first code: %d %s", a.Status, a.Body)
	}
	h.problem("a wrong code", p.authenticate(p.wrong()), 400, "VALIDATION_FAILURE", wrongCode)
	if a := h.Do("GET", picture, ""); a.Status != 200 {
		t.Errorf("after a wrong code: %d %s", a.Status, a.Body)
	}
	h.empty("the first code", p.authenticate(p.code()))
	h.problem("after it", h.Do("GET", picture, ""), 400, "INVALID_PARAMS", seen)
	h.Time.Advance(24 * time.Hour)
	h.problem("a day later", h.Do("GET", picture, ""), 400, "INVALID_PARAMS", seen)

	open := newHouse(t, oracle)
	q := open.provision("alice")
	open.empty("the first code", q.authenticate(q.code()))
	if a := open.Do("GET", picture, ""); a.Status != 200 || !strings.Contains(open.zbarimg(a.Body), q.seed) {
		t.Errorf("with the oracle: %d %s", a.Status, a.Body)
	}
}

// Users who came by an import, and those that the gateway made, are users.
func TestUsersFromElsewhere(t *testing.T) {
	h := newHouse(t)
	p := h.brought("imported", otp.Params{Algorithm: otp.SHA512, Digits: 8, Period: 60}, "0123456789abcdef0123456789abcdef")
	h.empty("a code", p.authenticate(p.code()))
	h.empty("a recovery code", p.recover(p.codes[0]))
	h.User("bare", "adjure", "", "")
	h.problem("once more", h.Do("POST", "/user/provision", object("user_id", "bare")), 400, "USER_PROVISION_FAILURE", "User id bare already provisioned.")
	h.problem("a code without an authenticator", (&person{h: h, id: "bare"}).authenticate("123456"), 400, "VALIDATION_FAILURE", wrongCode)
	h.problem("codes without an authenticator", h.Do("POST", "/user/recovery/regenerate", object("user_id", "bare")), 400, "USER_NOT_FOUND", "User bare has not been provisioned")
	if a := h.Do("GET", "/user/qrcode?user_id=bare&issuer=a&username=b", ""); a.Status != 404 {
		t.Errorf("a picture of nothing: %d", a.Status)
	}
}

// Where the realm says otherwise, its words hold for what is made and what is taken.
func TestTheRealmsSettingsHold(t *testing.T) {
	own := settings()
	own.Names = account.NamesPrecis
	own.OTP = &otp.Params{Algorithm: otp.SHA1, Digits: 8, Period: 60}
	own.RecoveryCodes = &account.RecoverySettings{Count: 3, Length: 12, Alphabet: "ABCDEFGHJKMNPQRSTUVWXYZ23456789"}
	h := &house{World: compattest.New(t, map[string]account.Settings{"old": own}), t: t}
	o := adjure.Options{Rooms: h.Rooms}
	o.Realm = "old"
	f, err := adjure.New(o)
	h.Must(err)
	h.Serve(f)
	a := h.Do("POST", "/user/provision", object("user_id", "Alice"))
	var got struct {
		Codes []string `json:"recovery_codes"`
	}
	if json.Unmarshal([]byte(a.Body), &got) != nil || len(got.Codes) != 3 || len(got.Codes[0]) != 14 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	p := &person{h: h, id: "ALICE"}
	h.problem("in small letters", p.recover(strings.ToLower(got.Codes[0])), 400, "INVALID_RECOVERY_CODE", wrongRecovery)
	h.empty("as it is printed", p.recover(got.Codes[0]))
	h.Must(h.Store.View(t.Context(), func(tx store.Tx) error {
		u, err := h.Directory.ByRef(tx, principal.Ref{Name: "alice", Realm: "old"})
		if err != nil {
			return err
		}
		e, _, err := h.Factors.Reveal(tx, u.ID)
		if err == nil && e.Params != *own.OTP {
			t.Errorf("%+v", e.Params)
		}
		p.seed, p.Params = otp.FormatSeed(e.Seed.Reveal()), e.Params
		return err
	}))
	h.empty("a code of eight digits", p.authenticate(p.code()))
}

// Nothing secret and no name that nobody has is logged, and each change and each
// judgement is an event with the facade's name.
func TestS8NothingSecretIsLogged(t *testing.T) {
	h := newHouse(t, oracle)
	p := h.provision("alice")
	code, wrong := p.code(), p.wrong()
	p.authenticate(wrong)
	p.authenticate(code)
	p.recover(p.codes[0])
	h.Do("GET", "/user/qrcode?user_id=alice&issuer=a&username=b", "")
	h.Do("GET", "/user/auth_code?user_id=canary-name", "")
	h.Do("POST", "/user/authenticate", object("user_id", "canary-name", "auth_code", "canary-code"))
	h.Do("POST", "/user/recovery/authenticate", object("user_id", "canary-name", "recovery_code", "canary-code"))
	h.Do("POST", "/user/provision", object("user_id", strings.Repeat("canary-name", 20)))
	h.Do("POST", "/user/authenticate", `{"user_id": "canary-name", "auth_code": {"canary-code": "`)
	fresh := h.Do("POST", "/user/recovery/regenerate", object("user_id", "alice"))
	logged := h.Logged()
	for _, canary := range append([]string{code, wrong, p.seed, "canary", "twenty"}, p.codes...) {
		if strings.Contains(logged, canary) {
			t.Errorf("the log holds %s", canary)
		}
	}
	var got struct {
		Codes []string `json:"recovery_codes"`
	}
	h.Must(json.Unmarshal([]byte(fresh.Body), &got))
	if len(got.Codes) != 10 || strings.Contains(logged, got.Codes[0]) {
		t.Error("the log holds a new recovery code")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[string]int{}
	for _, e := range h.events {
		if e.Actor != "compat adjure" || e.Client.String() != "127.0.0.1" || e.Name != "alice@adjure" {
			t.Errorf("an event of %q from %s about %s: %s", e.Actor, e.Client, e.Name, e.Kind)
		}
		seen[string(e.Kind)+" "+string(e.Outcome)]++
	}
	for _, want := range []string{"user.create ok", "factor.add ok", "factor.verify ok", "factor.verify denied", "recovery_codes.new ok"} {
		if seen[want] == 0 {
			t.Errorf("no event %s among %v", want, seen)
		}
	}
}

// broken is a store that fails in a way that nobody knows.
type broken struct{ store.Store }

func (broken) View(context.Context, func(store.Tx) error) error {
	return errors.New("canary in an error")
}

// A failure is told to nobody but the log, and opens nothing.
func TestFailures(t *testing.T) {
	h := newHouse(t, func(o *adjure.Options) { o.Store = broken{o.Store} })
	for _, a := range []compattest.Answer{
		h.Do("POST", "/user/authenticate", object("user_id", "a", "auth_code", "123456")),
		h.Do("POST", "/user/recovery/authenticate", object("user_id", "a", "recovery_code", "123456")),
		h.Do("GET", "/user/qrcode?user_id=a&issuer=a&username=b", ""),
	} {
		h.page("a failure", a, 500, pageFailed)
	}
	if !strings.Contains(h.Logged(), "canary in an error") {
		t.Error("the failure was not logged")
	}
}

// What cannot be a realm is no facade.
func TestNewRefuses(t *testing.T) {
	for _, realm := range []string{"", "Adjure", "a b", "a@b"} {
		o := adjure.Options{}
		o.Realm = realm
		if f, err := adjure.New(o); err == nil || f != nil {
			t.Errorf("the realm %q: %v", realm, err)
		}
	}
}
