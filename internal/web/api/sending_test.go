package api_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// post keeps the codes that were committed.
type post struct {
	mu   sync.Mutex
	sent []factor.Message
}

func (p *post) Sends(method factor.Name) bool { return method == factor.Email || method == factor.SMS }

func (p *post) Send(tx store.Tx, m factor.Message) error {
	if m.User == nil || m.Code == "" || !m.Expires.After(tx.Now()) {
		return errors.New("not a whole message")
	}
	tx.After(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sent = append(p.sent, m)
	})
	return nil
}

func (p *post) last(t testing.TB) factor.Message {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sent) == 0 {
		t.Fatal("nothing was sent")
	}
	return p.sent[len(p.sent)-1]
}

func (p *post) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

func mailing(t *testing.T) (*world, *post) {
	p := &post{}
	one := 1
	return newWorld(t, worldOptions{post: p, realms: map[string]account.Settings{
		"users": {Methods: []string{"totp", "email", "sms"}, CodeLife: map[string]time.Duration{"sms": 2 * time.Minute}},
		"easy":  {Factors: &one, Methods: []string{"totp", "email"}},
	}}), p
}

func TestCodesByMailOverTheAPI(t *testing.T) {
	w, p := mailing(t)
	alice := w.member("alice@users")
	v := alice.visit()
	a := v.send("POST", "/me/methods/email/activate", map[string]any{}).want(200)
	if keys(a) != "sent_to" || a.text("sent_to") != "a•••@example.com" {
		t.Fatalf("%v", a)
	}
	v.send("POST", "/me/methods/email/confirm", map[string]any{"code": "x"}).want(401, "denied")
	c := v.send("POST", "/me/methods/email/confirm", map[string]any{"code": p.last(t).Code}).want(200)
	if keys(c) != "" {
		t.Errorf("a second factor brings %v", c)
	}
	v = alice.visit()
	list := v.send("GET", "/me/methods", nil).want(200).body
	if !strings.Contains(list, `"name":"email"`) || !strings.Contains(list, `"sent_to":"a•••@example.com"`) || strings.Contains(list, `"id"`) || strings.Contains(list, "alice@example") {
		t.Errorf("%s", list)
	}

	// Another way at the second door.
	half := alice.halfway()
	if half.text("method") != "totp" || !slices.Contains(half.texts("other_methods"), "email") || half.fields["sent_to"] != nil {
		t.Errorf("%v", half)
	}
	token := half.text("ephemeral_token")
	ask := map[string]any{"ephemeral_token": token, "method": "email"}
	sent := w.stranger().send("POST", "/login/challenge", ask).want(202)
	if keys(sent) != "expires_in sent_to" || sent.text("sent_to") != "a•••@example.com" {
		t.Errorf("%v", sent)
	}
	w.stranger().send("POST", "/login/challenge", map[string]any{"ephemeral_token": token, "method": "sms"}).want(404, "unknown_method")
	ok := w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": token, "code": p.last(t).Code, "method": "email"}).want(200)
	if me := w.stranger().bearing(ok.text("access_token")).send("GET", "/me", nil).want(200); !slices.Equal(me.texts("amr"), []string{"pwd", "email"}) {
		t.Errorf("%v", me)
	}

	// Primary: the code is on its way with the first door's answer.
	v.send("PUT", "/me/methods/primary", map[string]any{"method": "email", "code": alice.code()}).want(200)
	half = alice.halfway()
	if half.text("method") != "email" || half.text("sent_to") != "a•••@example.com" {
		t.Errorf("%v", half)
	}
	w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": half.text("ephemeral_token"), "code": p.last(t).Code}).want(200)

	// A code of an own method for a change.
	v.send("POST", "/me/methods/totp/challenge", nil).want(409, "no_sending_method")
	v.send("POST", "/me/methods/email/challenge", nil).want(202)
	v.send("POST", "/me/methods/totp/deactivate", map[string]any{"code": p.last(t).Code}).want(204)
	half = alice.halfway()
	ok = w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": half.text("ephemeral_token"), "code": p.last(t).Code}).want(200)
	v = w.stranger().bearing(ok.text("access_token"))
	v.send("POST", "/me/methods/email/deactivate", map[string]any{"code": "000000"}).want(409, "last_factor")
}

// The bill of SMS, and the mailbox, are the person's: five in a quarter of an hour.
func TestSendingIsThrottledOverTheAPI(t *testing.T) {
	w, p := mailing(t)
	alice := w.member("alice@users")
	v := alice.visit()
	v.send("POST", "/me/methods/email/activate", map[string]any{}).want(200)
	v.send("POST", "/me/methods/email/confirm", map[string]any{"code": p.last(t).Code}).want(200)
	v = alice.visit()
	for range 4 {
		v.send("POST", "/me/methods/email/challenge", nil).want(202)
	}
	before := p.count()
	if a := v.send("POST", "/me/methods/email/challenge", nil).want(429, "throttled"); a.header.Get("Retry-After") == "" || p.count() != before {
		t.Errorf("%v %v", a.header, a)
	}
	v.send("PATCH", "/me", map[string]any{"email": "other@example.com"}).want(429, "throttled")
	token := alice.halfway().text("ephemeral_token")
	w.stranger().send("POST", "/login/challenge", map[string]any{"ephemeral_token": token, "method": "email"}).want(429, "throttled")
}

// Whoever has a password alone may not say where the first code goes.
func TestTheTargetOfAnEnrolmentBetweenTheDoorsIsTheAccounts(t *testing.T) {
	w, p := mailing(t)
	bob := w.someone("bob@users")
	half := bob.halfway()
	token := half.text("ephemeral_token")
	if half.text("status") != "enroll" || !slices.Equal(half.texts("methods"), []string{"totp", "email", "sms"}) {
		t.Fatalf("%v", half)
	}
	w.stranger().send("POST", "/me/methods/email/activate", map[string]any{"ephemeral_token": token, "email": "thief@example.com"}).want(422, "invalid")
	w.stranger().send("POST", "/me/methods/sms/activate", map[string]any{"ephemeral_token": token, "phone": "+41791234567"}).want(422, "invalid")
	w.stranger().send("POST", "/me/methods/sms/activate", map[string]any{"ephemeral_token": token}).want(409, "no_target")
	w.stranger().send("POST", "/me/methods/email/activate", map[string]any{"ephemeral_token": token}).want(200)
	if to := p.last(t).To; to != "bob@example.com" || p.count() != 1 {
		t.Fatalf("sent to %s, %d messages", to, p.count())
	}
	ok := w.stranger().send("POST", "/me/methods/email/confirm", map[string]any{"ephemeral_token": token, "code": p.last(t).Code}).want(200)
	if ok.text("status") != "ok" || len(ok.texts("recovery_codes")) != 10 {
		t.Errorf("%v", ok)
	}
}

func TestAnotherNumberForSMS(t *testing.T) {
	w, p := mailing(t)
	alice := w.member("alice@users")
	v := alice.visit()
	v.send("POST", "/me/methods/sms/activate", map[string]any{}).want(409, "no_target")
	v.send("POST", "/me/methods/sms/activate", map[string]any{"phone": "0791234567"}).want(422, "invalid")
	v.send("POST", "/me/methods/sms/activate", map[string]any{"email": "a@example.com"}).want(422, "invalid")
	a := v.send("POST", "/me/methods/sms/activate", map[string]any{"phone": "+41 79 123 45 67"}).want(200)
	if a.text("sent_to") != "•••• 67" || p.last(t).To != "+41791234567" {
		t.Errorf("%v to %s", a, p.last(t).To)
	}
	if life := p.last(t).Expires.Sub(w.clock.Now()); life != 2*time.Minute {
		t.Errorf("the code lives %s", life)
	}
	v.send("POST", "/me/methods/sms/confirm", map[string]any{"code": p.last(t).Code}).want(200)
	if me := alice.visit().send("GET", "/me", nil).want(200); me.text("phone") != "+41791234567" {
		t.Errorf("%v", me)
	}
}

func TestNewAddressOverTheAPI(t *testing.T) {
	w, p := mailing(t)
	alice := w.member("alice@users")
	w.someone("bob@users")
	v := alice.visit()
	a := v.send("PATCH", "/me", map[string]any{"email": "new@example.org", "full_name": "Alice A."}).want(200)
	if a.text("email") != "alice@example.com" || a.text("full_name") != "Alice A." || !slices.Equal(a.texts("sent_to"), []string{"n•••@example.org"}) {
		t.Errorf("%v", a)
	}
	v.send("POST", "/me/confirm", map[string]any{"field": "phone", "code": p.last(t).Code}).want(409, "nothing_pending")
	v.send("POST", "/me/confirm", map[string]any{"field": "groups", "code": p.last(t).Code}).want(422, "invalid")
	if me := v.send("POST", "/me/confirm", map[string]any{"field": "email", "code": p.last(t).Code}).want(200); me.text("email") != "new@example.org" {
		t.Errorf("%v", me)
	}
	v.send("PATCH", "/me", map[string]any{"email": "bob@example.com"}).want(200) // who asks learns nothing: the mailbox is asked
	v.send("POST", "/me/confirm", map[string]any{"field": "email", "code": p.last(t).Code}).want(409, "address_taken")
	v.send("PATCH", "/me", map[string]any{"email": "a@example.com", "phone": "+41791234567"}).want(422, "invalid")
	if a := v.send("PATCH", "/me", map[string]any{"email": ""}).want(200); a.text("email") != "" || a.fields["sent_to"] != nil {
		t.Errorf("%v", a)
	}

	// A stolen session moves no address.
	later := alice.signIn()
	w.clock.Advance(16 * time.Minute)
	fresh := w.stranger().send("POST", "/token/refresh", map[string]any{"refresh_token": later.text("refresh_token")}).want(200)
	w.stranger().bearing(fresh.text("access_token")).send("PATCH", "/me", map[string]any{"phone": "+41791234567"}).want(403, "not_fresh")
}

func TestSeveralAuthenticatorsOverTheAPI(t *testing.T) {
	w, _ := mailing(t)
	alice := w.member("alice@users")
	v := alice.visit()
	first := *alice
	a := v.send("POST", "/me/methods/totp/activate", map[string]any{"add": true, "label": "Watch"}).want(200)
	second := *alice
	second.seed = seedOf(t, a.text("otpauth_uri"))
	v.send("POST", "/me/methods/totp/confirm", map[string]any{"code": second.code()}).want(200)
	v = first.visit()
	ids := idsOf(v.send("GET", "/me/methods", nil).want(200).body)
	if len(ids) != 2 || ids[0] == ids[1] {
		t.Fatalf("ids %q", ids)
	}
	for _, p := range []*person{&first, &second} {
		p.signIn()
	}
	v.send("POST", "/me/methods/totp/deactivate", map[string]any{"code": second.code(), "id": "nobody"}).want(404, "unknown_method")
	v.send("POST", "/me/methods/totp/deactivate", map[string]any{"code": second.code(), "id": ids[0]}).want(204)
	second.signIn()
	half := first.halfway()
	w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": half.text("ephemeral_token"), "code": first.code()}).want(401, "denied")
}

func seedOf(t testing.TB, uri string) []byte {
	t.Helper()
	_, seed, _, err := otp.ParseURI(uri)
	must(t, err)
	return seed
}

// idsOf are the devices' ids in the list of methods.
func idsOf(list string) (ids []string) {
	for _, part := range strings.Split(list, `"id":"`)[1:] {
		id, _, _ := strings.Cut(part, `"`)
		ids = append(ids, id)
	}
	return ids
}
