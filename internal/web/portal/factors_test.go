package portal_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// postman hands over what is sent, as soon as it is committed.
type postman struct {
	mu   sync.Mutex
	sent []factor.Message
}

func (*postman) Sends(method factor.Name) bool { return method == factor.Email || method == factor.SMS }

func (p *postman) Send(tx store.Tx, m factor.Message) error {
	tx.After(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sent = append(p.sent, m)
	})
	return nil
}

func (p *postman) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

// last is the newest message.
func (p *postman) last(t *testing.T) factor.Message {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sent) == 0 {
		t.Fatal("nothing was sent")
	}
	return p.sent[len(p.sent)-1]
}

// several is a house where people may have every method that is typed.
func several(t *testing.T) (*house, *postman) {
	t.Helper()
	mail := &postman{}
	methods := []string{"totp", "email", "sms", "yubikey"}
	return build(t, plan{sender: mail, realms: map[string]account.Settings{"users": {Methods: methods}}}), mail
}

// reach gives a person an address and a number.
func (h *house) reach(id principal.ID, email, phone string) {
	h.t.Helper()
	must(h.t, h.store.Update(h.t.Context(), func(tx store.Tx) error {
		_, err := h.directory.Update(tx, account.Local(), id, account.Change{Email: &email, Phone: &phone})
		return err
	}))
}

func (h *house) methods(id principal.ID) (all []factor.Method) {
	h.t.Helper()
	must(h.t, h.store.View(h.t.Context(), func(tx store.Tx) (err error) {
		all, err = h.factors.Methods(tx, id)
		return err
	}))
	return all
}

func (h *house) user(id principal.ID) (u *account.User) {
	h.t.Helper()
	must(h.t, h.store.View(h.t.Context(), func(tx store.Tx) (err error) {
		u, err = h.directory.ByID(tx, id)
		return err
	}))
	return u
}

const factorsAt = "/sallyport/account/factors"

// wrongOf is a code that the message does not have.
func wrongOf(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

// mailed adds codes by mail to a person with an authenticator.
func (b *browser) mailed(e *factor.Enrollment, mail *postman) {
	b.h.t.Helper()
	b.get(factorsAt+"/add?way=email").want(b.h.t, 200, "Codes by e-mail")
	b.submit(factorsAt+"/add", "code", b.h.code(e)).want(b.h.t, 200, "Set up codes by message")
	b.submit(factorsAt+"/confirm", "code", mail.last(b.h.t).Code).want(b.h.t, 200, "Your second factors")
}

// Attack: a stolen session, or a script of an upstream that shares the origin, gives
// itself a factor, takes the victim's away or has its own asked for first. Each of these
// asks for a fresh code, which a cookie is not; a wrong one changes nothing.
func TestFactorsChangeForAFreshCodeAlone(t *testing.T) {
	h, mail := several(t)
	id, e := h.person("alice", "users", true)
	h.reach(id, "alice@example.com", "")
	b := h.browser()
	b.signIn("alice", e, "")
	b.mailed(e, mail)
	sent := mail.count()
	for _, code := range []string{"", "aaaa-bbbb-cccc"} {
		for path, form := range map[string]url.Values{
			"/add": {"way": {"sms"}, "target": {"+491701234567"}}, "/primary": {"way": {"email"}}, "/remove": {"way": {"totp"}},
		} {
			form.Set("code", code)
			if got := b.post(factorsAt+path, form); got.Status != 401 {
				t.Errorf("%s with the code %q: %d %q", path, code, got.Status, got.Title)
			}
		}
	}
	all := h.methods(id)
	if len(all) != 2 || all[0].Name != factor.TOTP || !all[0].Primary || mail.count() != sent {
		t.Errorf("something was changed: %+v, %d letters", all, mail.count()-sent)
	}
}

// Attack: what needs no code is posted by a script that cannot read our pages, or by
// another site. Without the key that stands in the page nothing is done.
func TestFormsWithoutACodeNeedThePageTheyStandIn(t *testing.T) {
	h, mail := several(t)
	id, e := h.person("alice", "users", true)
	h.reach(id, "alice@example.com", "")
	b, other := h.browser(), h.browser()
	b.signIn("alice", e, "")
	b.mailed(e, mail)
	b.get(factorsAt + "/add?way=sms")
	b.submit(factorsAt+"/add", "target", "+49 170 1234567", "code", h.code(e)).want(t, 200, "Set up codes by message")
	code, sent := mail.last(t).Code, mail.count()
	foreign := b.page.Forms[0].Fields.Get("k")
	for _, key := range []string{"", "x", strings.Repeat("0", 32)} {
		for path, form := range map[string]url.Values{
			factorsAt + "/confirm": {"way": {"sms"}, "code": {code}}, factorsAt + "/again": {"way": {"sms"}}, factorsAt + "/drop": {"way": {"sms"}},
			"/sallyport/account/code":    {"way": {"email"}, "rd": {factorsAt}},
			"/sallyport/account/profile": {"full_name": {"Mallory"}}, "/sallyport/account/email": {"target": {"m@example.org"}, "code": {"123456"}},
		} {
			form.Set("k", key)
			if got := b.post(path, form); got.Status != 403 && got.Status != 409 {
				t.Errorf("%s with the key %q: %d %q", path, key, got.Status, got.Title)
			}
		}
	}
	// The key of another session of the same person is none.
	other.signIn("alice", nil, "")
	other.get("/sallyport/login/code").want(t, 200, "Second step")
	other.submit("/sallyport/login/code", "code", h.code(e))
	if got := other.post(factorsAt+"/confirm", url.Values{"way": {"sms"}, "code": {code}, "k": {foreign}}); got.Status != 409 {
		t.Errorf("another session's key: %d", got.Status)
	}
	if mail.count() != sent || len(h.methods(id)) != 3 || h.user(id).FullName != "" {
		t.Errorf("something was done: %+v", h.methods(id))
	}
	b.get(factorsAt+"/confirm?way=sms").want(t, 200, "Set up codes by message")
	b.submit(factorsAt+"/confirm", "code", code).want(t, 200, "Your second factors")
}

// Attack: the code that went to a new address is guessed. Five wrong ones end it, and
// they stay counted.
func TestGuessesOfAFirstCodeEnd(t *testing.T) {
	h, mail := several(t)
	id, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", e, "")
	b.get(factorsAt + "/add?way=email")
	b.submit(factorsAt+"/add", "target", "other@example.com", "code", h.code(e)).want(t, 200, "Set up codes by message")
	code := mail.last(t).Code
	if mail.last(t).To != "other@example.com" {
		t.Fatalf("the code went to %q", mail.last(t).To)
	}
	for range 5 {
		b.submit(factorsAt+"/confirm", "code", wrongOf(code))
	}
	if got := b.get(factorsAt + "/confirm?way=email"); got.Status != 409 {
		t.Errorf("after five wrong codes: %d %q", got.Status, got.Title)
	}
	if u := h.user(id); u.Email != "" || u.Factors() != 1 {
		t.Errorf("it became hers: %+v", u)
	}
}

// A person adds codes by mail, has another one sent, makes them first, and removes the
// authenticator; the last factor stays where two are demanded, and a sentence says so.
func TestAPersonKeepsTheOwnFactors(t *testing.T) {
	h, mail := several(t)
	id, e := h.person("alice", "users", true)
	h.reach(id, "alice@example.com", "")
	b, second := h.browser(), h.browser()
	second.signIn("alice", e, "")
	b.signIn("alice", e, "")
	b.get(factorsAt).want(t, 200, "Your second factors")
	b.get(factorsAt+"/add").want(t, 200, "Add a second factor")
	if !slices.Contains(b.page.Links, factorsAt+"/add?way=yubikey") {
		t.Errorf("what is offered: %v", b.page.Links)
	}
	b.get(factorsAt + "/add?way=email")
	b.submit(factorsAt+"/add", "code", h.code(e)).want(t, 200, "Set up codes by message")
	old := mail.last(t).Code
	b.submit(factorsAt+"/again").want(t, 200, "Set up codes by message")
	if b.page.Notice == "" || mail.count() != 2 {
		t.Errorf("notice %q, %d letters", b.page.Notice, mail.count())
	}
	if mail.last(t).Code != old {
		b.submit(factorsAt+"/confirm", "code", old).want(t, 401, "Set up codes by message")
	}
	b.submit(factorsAt+"/confirm", "code", mail.last(t).Code).want(t, 200, "Your second factors")
	if !strings.Contains(b.page.Notice, "in use") || !strings.Contains(b.page.Body, "a…") && !strings.Contains(b.page.Body, "Goes to") {
		t.Errorf("notice %q:\n%s", b.page.Notice, b.page.Body)
	}
	if got := second.get("/sallyport/account/"); got.Status != 303 {
		t.Errorf("the other session goes on: %d", got.Status)
	}

	b.get(factorsAt+"/primary?way=email").want(t, 200, "What is asked for first")
	b.submit(factorsAt+"/primary", "code", h.code(e)).want(t, 200, "Your second factors")
	if all := h.methods(id); all[0].Name != factor.Email || !all[0].Primary {
		t.Errorf("first is %+v", all[0])
	}

	// The proof by a code that is sent from the page that asks for it.
	remove := h.methods(id)[1]
	b.get(factorsAt+"/remove?"+url.Values{"way": {"totp"}, "id": {remove.ID}}.Encode()).want(t, 200, "Remove a second factor")
	b.submit("/sallyport/account/code").want(t, 200, "Remove a second factor")
	if !strings.Contains(b.page.Notice, "A code was sent to") {
		t.Errorf("notice %q", b.page.Notice)
	}
	b.submit(factorsAt+"/remove", "code", mail.last(t).Code).want(t, 200, "Your second factors")
	if all := h.methods(id); len(all) != 1 || all[0].Name != factor.Email {
		t.Fatalf("left: %+v", all)
	}

	b.get(factorsAt+"/remove?way=email").want(t, 200, "Remove a second factor")
	b.submit("/sallyport/account/code").want(t, 200, "Remove a second factor")
	code := mail.last(t).Code
	b.submit(factorsAt+"/remove", "code", code).want(t, 409, "Remove a second factor")
	if !strings.Contains(b.page.Alert, "last second factor") {
		t.Errorf("alert %q", b.page.Alert)
	}
	// The code is still good: nothing happened.
	b.get("/sallyport/account/recovery-codes")
	b.submit("/sallyport/account/recovery-codes", "code", code).want(t, 200, "Your recovery codes")
}

// Authenticators stand beside each other, and one of several is removed.
func TestOneAuthenticatorOfSeveral(t *testing.T) {
	h, _ := several(t)
	id, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", e, "")
	b.get(factorsAt+"/add?way=totp").want(t, 200, "Authenticator app")
	b.submit(factorsAt+"/add", "label", strings.Repeat("x", 129), "code", "123456").want(t, 422, "Authenticator app")
	b.submit(factorsAt+"/add", "label", "work phone", "code", h.code(e)).want(t, 200, "Set up your authenticator")
	second := b.page.scanned(t)
	b.submit("/sallyport/account/totp/confirm", "code", h.code(second)).want(t, 200, "Your account")
	all := h.methods(id)
	if len(all) != 2 {
		t.Fatalf("%+v", all)
	}
	if b.get(factorsAt); !strings.Contains(b.page.Body, "work phone") {
		t.Errorf("the list does not name it:\n%s", b.page.Body)
	}
	i := slices.IndexFunc(all, func(m factor.Method) bool { return m.Label != "work phone" })
	b.get(factorsAt+"/remove?"+url.Values{"way": {"totp"}, "id": {all[i].ID}}.Encode()).want(t, 200, "Remove a second factor")
	b.submit(factorsAt+"/remove", "code", h.code(second)).want(t, 200, "Your second factors")
	if all = h.methods(id); len(all) != 1 || all[0].Label != "work phone" {
		t.Errorf("left: %+v", all)
	}
}

// What waits can be forgotten; what others own, or nobody, is not found; enough is enough.
func TestFactorsThatAreNotThere(t *testing.T) {
	h, mail := several(t)
	_, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", e, "")
	for _, path := range []string{"/remove", "/remove?way=email", "/remove?way=totp&id=x", "/primary?way=sms", "/add?way=carrier-pigeon", "/add?way=passkey"} {
		b.get(factorsAt+path).want(t, 404, "Not found")
	}
	b.get(factorsAt+"/confirm?way=email").want(t, 409, "Nothing to confirm")
	b.get(factorsAt + "/add?way=sms")
	b.submit(factorsAt+"/add", "target", "no number", "code", h.code(e)).want(t, 422, "Codes by SMS")
	b.get(factorsAt + "/add?way=sms")
	b.submit(factorsAt+"/add", "code", h.code(e))
	if b.page.Status != 409 || b.page.Alert == "" {
		t.Errorf("no number: %d %q", b.page.Status, b.page.Alert)
	}
	b.get(factorsAt + "/add?way=sms")
	b.submit(factorsAt+"/add", "target", "+491701234567", "code", h.code(e)).want(t, 200, "Set up codes by message")
	for range 40 {
		if b.submit(factorsAt + "/again"); b.page.Status == http.StatusTooManyRequests {
			break
		}
	}
	if b.page.Status != 429 || b.page.Header.Get("Retry-After") == "" || !strings.Contains(b.page.Notice, "Enough codes") {
		t.Errorf("after %d codes: %d %q", mail.count(), b.page.Status, b.page.Notice)
	}
	b.get(factorsAt)
	b.submit(factorsAt+"/drop").want(t, 200, "Your second factors")
	b.get(factorsAt+"/confirm?way=sms").want(t, 409, "Nothing to confirm")
}

// Whoever has no factor is led through the enrolment of a login.
func TestTheFirstFactorIsSetUpAsAtALogin(t *testing.T) {
	one := 1
	mail := &postman{}
	h := build(t, plan{sender: mail, realms: map[string]account.Settings{"users": {Methods: []string{"totp", "email"}, Factors: &one}}})
	id, _ := h.person("bob", "users", false)
	h.reach(id, "bob@example.com", "")
	b := h.browser()
	b.signIn("bob", nil, "")
	b.get(factorsAt).want(t, 200, "Your second factors")
	b.get(factorsAt+"/add").want(t, 200, "Add a second factor")
	b.submit(factorsAt+"/add").want(t, 200, "Set up a second proof")
	l := b.page.Forms[0].Fields.Get("l")
	b.follow(b.post("/sallyport/enroll/", url.Values{"l": {l}, "way": {"email"}})).want(t, 200, "Set up codes by message")
	b.submit("/sallyport/enroll/code", "code", mail.last(t).Code).want(t, 200, "Your recovery codes")
	if !slices.Contains(b.page.Links, factorsAt+"?m=added") {
		t.Errorf("leads to %v", b.page.Links)
	}
	b.get(factorsAt).want(t, 200, "Your second factors")
}
