package portal_test

import (
	"errors"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/factor/yubico/yubicotest"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// box keeps the codes that were committed. down: nothing can be sent.
type box struct {
	mu   sync.Mutex
	sent []factor.Message
	down bool
}

func (b *box) Sends(factor.Name) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.down
}

func (b *box) Send(tx store.Tx, m factor.Message) error {
	if m.User == nil || m.Code == "" || !m.Expires.After(tx.Now()) {
		return errors.New("not a whole message")
	}
	tx.After(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.sent = append(b.sent, m)
	})
	return nil
}

func (b *box) cut(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

func (b *box) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sent)
}

func (b *box) last(t *testing.T) factor.Message {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.sent) == 0 {
		t.Fatal("nothing was sent")
	}
	return b.sent[len(b.sent)-1]
}

// sending is a house whose people may have every method whose codes are typed.
func sending(t *testing.T, rules ...guard.Rule) (*house, *box) {
	t.Helper()
	mail := &box{}
	settings := account.Settings{Methods: []string{"totp", "email", "sms", "pager", "yubikey"}}
	if len(rules) == 0 {
		rules = nil
	}
	return build(t, plan{sender: mail, rules: rules, realms: map[string]account.Settings{"users": settings}}), mail
}

// mailed makes a user with a password, an address and a number, and with the methods that
// are named, the first one the primary. It returns the authenticator, if there is one.
func (h *house) mailed(name string, methods ...factor.Name) (id principal.ID, e *factor.Enrollment) {
	h.t.Helper()
	hash, err := secret.NewHasher(secret.HasherOptions{Params: secret.HashParams{MemoryKiB: 1024, Time: 1, Threads: 1}}).Hash(h.t.Context(), password)
	must(h.t, err)
	must(h.t, h.store.Update(h.t.Context(), func(tx store.Tx) error {
		u, err := h.directory.Create(tx, account.Local(), account.NewUser{Ref: principal.Ref{Name: name, Realm: "users"},
			PasswordHash: hash, Email: name + "@example.com", Phone: "+41791234589"})
		if err != nil {
			return err
		}
		id = u.ID
		for _, method := range methods {
			made, err := h.factors.Enroll(tx, account.Local(), id, factor.EnrollOptions{Method: method, Confirmed: true})
			if err != nil {
				return err
			}
			if method == factor.TOTP {
				e = made
			}
		}
		return nil
	}))
	return id, e
}

// halfway passes the first door.
func (b *browser) halfway(name, at string) *page {
	b.h.t.Helper()
	b.get(at).want(b.h.t, 200, "Sign in")
	return b.submit("/sallyport/login", "username", name, "password", password).want(b.h.t, 200, "Second step")
}

// says reports, as an error of the test, that a page lacks a sentence.
func (p *page) says(t *testing.T, text string) *page {
	t.Helper()
	if !strings.Contains(html.UnescapeString(p.Body), text) {
		t.Errorf("page %q (%d) does not say %q:\n%s", p.Title, p.Status, text, p.Body)
	}
	return p
}

// link is the first link of a page that holds a text.
func (p *page) link(t *testing.T, part string) string {
	t.Helper()
	i := slices.IndexFunc(p.Links, func(l string) bool { return strings.Contains(l, part) })
	if i < 0 {
		t.Fatalf("page %q has no link with %q: %q", p.Title, part, p.Links)
	}
	return p.Links[i]
}

// Attack: a page says to whoever knows the password where the person's mail goes. It says
// enough for its owner to know the address, and no more.
func TestTheSecondDoorSaysWhereACodeWent(t *testing.T) {
	h, mail := sending(t)
	h.mailed("alice", factor.Email)
	b := h.browser()
	p := b.halfway("alice", "/sallyport/login?rd=/app").says(t, "A code was sent to a•••@example.com.").says(t, "Send it again")
	if mail.count() != 1 || strings.Contains(p.Body, "alice@example.com") || strings.Contains(p.Body, mail.last(t).Code) {
		t.Errorf("%d messages; the page:\n%s", mail.count(), p.Body)
	}
	first := mail.last(t).Code
	b.send("/sallyport/login/code", "code", "").want(t, 401, "Second step").says(t, "A code was sent to a•••@example.com.")
	b.submit("/sallyport/login/challenge").want(t, 200, "Second step").says(t, "A code was sent to a•••@example.com.")
	if mail.count() != 2 {
		t.Fatalf("%d messages", mail.count())
	}
	second := mail.last(t).Code
	if first != second {
		b.send("/sallyport/login/code", "code", first).want(t, 401, "Second step").says(t, "Type the newest one")
	}
	b.send("/sallyport/login/code", "code", second).leads(t, "/app")
}

// Attack: a link, a picture or a form of another site makes somebody who stands between
// the doors send messages, which cost money and wake people. Links choose; only our own
// form sends; and it sends to where the account says.
func TestOnlyOurOwnFormSends(t *testing.T) {
	h, mail := sending(t)
	_, e := h.mailed("alice", factor.TOTP, factor.Email, factor.SMS, "pager")
	b := h.browser()
	p := b.halfway("alice", "/sallyport/login").says(t, "Code from your authenticator")
	way := p.link(t, "way=email")
	for _, path := range []string{way, way + "&sent=sms", p.link(t, "way=sms"), p.link(t, "way=pager"), way + "&email=mallory@example.net"} {
		b.get(path).want(t, 200, "Second step")
	}
	b.get(way).says(t, "No code is on its way yet. When you ask for one, it goes to a•••@example.com.")
	id := b.at.Query().Get("l")
	if got := b.get("/sallyport/login/challenge?l=" + id + "&way=email"); got.Status != http.StatusMethodNotAllowed {
		t.Errorf("sending by a link: %d", got.Status)
	}
	foreign := b.request(http.MethodPost, "/sallyport/login/challenge", url.Values{"l": {id}, "way": {"email"}})
	foreign.Header.Set("Origin", "https://evil.example")
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	b.do(foreign).want(t, 403, "Not allowed")
	for _, none := range []string{"totp", "yubikey", "passkey", "recovery_code", "any", "../email", "<b>"} {
		b.post("/sallyport/login/challenge", url.Values{"l": {id}, "way": {none}}).want(t, 400, "Not understood")
	}
	stranger := h.browser()
	stranger.post("/sallyport/login/challenge", url.Values{"l": {id}, "way": {"email"}}).want(t, 401, "This sign-in has ended")
	if mail.count() != 0 {
		t.Fatalf("%d messages were sent", mail.count())
	}
	b.post("/sallyport/login/challenge", url.Values{"l": {id}, "way": {"email"}, "email": {"mallory@example.net"}, "to": {"mallory@example.net"}})
	b.follow(b.page).says(t, "A code was sent to a•••@example.com.")
	if m := mail.last(t); mail.count() != 1 || m.To != "alice@example.com" {
		t.Fatalf("%d messages, to %q", mail.count(), m.To)
	}
	// The code of one method is none of another, and a look elsewhere forgets nothing.
	b.get(b.page.link(t, "way=sms")).says(t, "No code is on its way yet. When you ask for one, it goes to •••• 89.")
	b.send("/sallyport/login/code", "code", mail.last(t).Code).want(t, 401, "Second step")
	b.get(b.page.link(t, "/login/code?")).says(t, "Code from your authenticator")
	b.get(b.page.link(t, "way=email")).says(t, "A code was sent to a•••@example.com.")
	b.send("/sallyport/login/code", "code", mail.last(t).Code).leads(t, "/sallyport/")
	other := h.browser()
	other.halfway("alice", "/sallyport/login")
	other.send("/sallyport/login/code", "code", h.code(e)).leads(t, "/sallyport/")
}

// A way that the person does not have, whoever made the link: the first one is asked for.
func TestAMadeUpWayChoosesNothing(t *testing.T) {
	h, mail := sending(t)
	h.mailed("alice", factor.TOTP)
	b := h.browser()
	b.halfway("alice", "/sallyport/login")
	id := b.at.Query().Get("l")
	for _, q := range []string{"way=email", "way=passkey", "way=recovery_code", "sent=email", "way=%3Cscript%3E&sent=%3Cscript%3E", "unsent=%3Cscript%3E"} {
		p := b.get("/sallyport/login/code?l="+id+"&"+q).want(t, 200, "Second step").says(t, "Code from your authenticator")
		if strings.Contains(p.Body, "script") || strings.Contains(p.Body, "sent to") {
			t.Errorf("%s: the page says what a link says:\n%s", q, p.Body)
		}
	}
	b.get("/sallyport/login/code?l="+id+"&way="+strings.Repeat("x", 65)).want(t, 400, "Not understood")
	if mail.count() != 0 {
		t.Error("something was sent")
	}
}

// What cannot be sent is said on the page where one can go on, and for how long.
func TestWhatIsNotSentIsSaid(t *testing.T) {
	h, mail := sending(t)
	h.mailed("alice", factor.Email, factor.TOTP)
	b := h.browser()
	b.halfway("alice", "/sallyport/login").says(t, "Send it again")
	var p *page
	for range 6 {
		p = b.submit("/sallyport/login/challenge")
		if p.Status != 200 {
			break
		}
	}
	p.want(t, 429, "Second step")
	if !strings.HasPrefix(p.Notice, "Enough codes were sent for now. You can ask for another in 15 minutes.") || p.Header.Get("Retry-After") != "900" {
		t.Errorf("%q, Retry-After %q", p.Notice, p.Header.Get("Retry-After"))
	}
	for _, problem := range problems(t, p) {
		t.Error(problem)
	}
	// The newest that came is still good.
	b.send("/sallyport/login/code", "code", mail.last(t).Code).leads(t, "/sallyport/")

	// The first door sends nothing then, and says so.
	other := h.browser()
	other.halfway("alice", "/sallyport/login").says(t, "No code is on its way yet.")
	h.clock.Advance(time.Hour)
	mail.cut(true)
	other.halfway("alice", "/sallyport/login").says(t, "No code is on its way yet.")
	if p := other.submit("/sallyport/login/challenge"); p.Status != 409 || !strings.HasPrefix(p.Notice, "Codes cannot be sent just now.") {
		t.Errorf("%d %q", p.Status, p.Notice)
	}
	other.page.link(t, "way=totp")
}

// A step-up sends nothing by itself: any link leads to it.
func TestAStepUpSendsNothingByItself(t *testing.T) {
	h, mail := sending(t, guard.Rule{Paths: []string{"/vault/*"}, Realms: []string{"users"}, Factors: number(2), Fresh: guard.Duration(15 * time.Minute)},
		guard.Rule{Realms: []string{"users"}, Factors: number(2)})
	h.mailed("alice", factor.Email)
	b := h.browser()
	b.halfway("alice", "/sallyport/login")
	b.send("/sallyport/login/code", "code", mail.last(t).Code).leads(t, "/sallyport/")
	h.clock.Advance(20 * time.Minute)
	before := mail.count()
	b.follow(b.get("/sallyport/login?rd=/vault/a&unsent=yes")).want(t, 200, "Second step").says(t, "No code is on its way yet.").says(t, "was not handed on")
	if mail.count() != before {
		t.Fatal("a link sent a code")
	}
	b.submit("/sallyport/login/challenge").want(t, 200, "Second step").says(t, "A code was sent to a•••@example.com.").says(t, "was not handed on")
	b.send("/sallyport/login/code", "code", mail.last(t).Code).leads(t, "/vault/a")
}

// A form that was challenged is not handed on after the login: silence would lose it. The
// pages say so at both doors, after a mistake too.
// Attack: a stranger's link says so as well. It gets that sentence, and nothing of its own.
func TestAFormThatWasNotHandedOnIsSaid(t *testing.T) {
	const sentence = "The form that you sent was not handed on"
	h := build(t, plan{})
	_, e := h.person("alice", "users", true)
	b := h.browser()
	if p := b.get("/sallyport/login?rd=/app"); p.Notice != "" {
		t.Errorf("without a form: %q", p.Notice)
	}
	if p := b.get("/sallyport/login?rd=/app&unsent=%3Cb%3E"); !strings.HasPrefix(p.Notice, sentence) || strings.Contains(p.Body, "<b>") {
		t.Errorf("%q", p.Notice)
	}
	b.get("/sallyport/login?rd=/app&unsent="+strings.Repeat("x", 9)).want(t, 400, "Not understood")
	b.get("/sallyport/login?rd=/app&unsent=yes").want(t, 200, "Sign in")
	for _, wrong := range []func() *page{
		func() *page { return b.page },
		func() *page { return b.submit("/sallyport/login", "username", "alice", "password", "wrong words") },
		func() *page { return b.submit("/sallyport/login", "username", "alice", "password", password) },
		func() *page { return b.submit("/sallyport/login/code", "code", "") },
		func() *page { return b.get(b.page.link(t, "/login/recovery")) },
		func() *page { return b.submit("/sallyport/login/recovery", "recovery_code", "") },
		func() *page { return b.get(b.page.link(t, "/login/code")) },
	} {
		if p := wrong(); !strings.HasPrefix(p.Notice, sentence) {
			t.Errorf("%s %q says %q", b.at.Path, p.Title, p.Notice)
		}
	}
	b.send("/sallyport/login/code", "code", h.code(e)).leads(t, "/app")
}

// A YubiKey types letters: no numeric keyboard, and nothing that a browser fills in.
func TestAYubiKeyAtTheSecondDoor(t *testing.T) {
	h, _ := sending(t)
	id, _ := h.mailed("alice", factor.TOTP)
	k := yubicotest.NewKey()
	must(t, h.store.Update(t.Context(), func(tx store.Tx) error {
		if _, err := h.factors.RegisterYubiKey(tx, account.Local(), k.Public, k.Private, k.Secret); err != nil {
			return err
		}
		if _, err := h.factors.Enroll(tx, account.Self(id), id, factor.EnrollOptions{Method: factor.YubiKey}); err != nil {
			return err
		}
		_, err := h.factors.Confirm(tx, account.Self(id), id, factor.YubiKey, factor.Proof{Code: k.Press()})
		return err
	}))
	b := h.browser()
	p := b.get(b.halfway("alice", "/sallyport/login").link(t, "way=yubikey")).says(t, "One-time password of your YubiKey")
	if strings.Contains(p.Body, "inputmode") || !strings.Contains(p.Body, `autocomplete="off"`) {
		t.Error("the field is one for digits")
	}
	used := k.Press()
	b.send("/sallyport/login/code", "code", used).leads(t, "/sallyport/")
	other := h.browser()
	other.get(other.halfway("alice", "/sallyport/login").link(t, "way=yubikey"))
	other.send("/sallyport/login/code", "code", used).want(t, 401, "Second step").says(t, "Touch the key again.")
	other.send("/sallyport/login/code", "code", k.Press()).leads(t, "/sallyport/")
}
