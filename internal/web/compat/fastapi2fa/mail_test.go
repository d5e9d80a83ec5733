package fastapi2fa_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
	"github.com/sallyport-auth/sallyport/internal/web/compat/fastapi2fa"
)

// mail is an outbox that keeps what was committed.
type mail struct {
	mu     sync.Mutex
	off    bool
	fails  error
	tokens map[string][][]string // by address, each mail
	states map[string]fastapi2fa.State
}

func (m *mail) Can() bool { return !m.off }

func (m *mail) BackupTokens(tx store.Tx, u *account.User, codes []string) error {
	tx.After(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.tokens[u.Email] = append(m.tokens[u.Email], slices.Clone(codes))
	})
	return m.fails
}

func (m *mail) Test(tx store.Tx) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := fmt.Sprintf("task-%d", len(m.states))
	m.states[id] = fastapi2fa.Pending
	return id, m.fails
}

func (m *mail) State(_ context.Context, id string) (fastapi2fa.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if state, known := m.states[id]; known {
		return state, m.fails
	}
	return fastapi2fa.Pending, m.fails
}

func (m *mail) of(address string) [][]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tokens[address]
}

// mailing is a house with mail: codes by the rooms, backup tokens by the outbox.
func mailing(t testing.TB, change ...func(*fastapi2fa.Options)) (*house, *mail) {
	t.Helper()
	all := settings()
	s := all[realm]
	s.Methods = []string{"totp", "email"}
	all[realm] = s
	h := &house{World: compattest.New(t, all)}
	h.Post.Offer(factor.Email)
	m := &mail{tokens: map[string][][]string{}, states: map[string]fastapi2fa.State{}}
	h.serve(append([]func(*fastapi2fa.Options){func(o *fastapi2fa.Options) { o.Messages = m }}, change...)...)
	return h, m
}

func signupBody(email, device string) string {
	if device == "" {
		return `{"email":"` + email + `","full_name":"Kim","password":"` + password + `","tfa_enabled":false}`
	}
	return `{"email":"` + email + `","full_name":"Kim","password":"` + password + `","tfa_enabled":true,"device":{"device_type":"` + device + `"}}`
}

// byMail signs somebody up whose device is mail, and returns the backup tokens.
func (h *house) byMail(m *mail, email string) []string {
	h.Helper()
	h.want("signup", h.signup(signupBody(email, "email")), 200, "")
	if got := m.of(email); len(got) != 1 || len(got[0]) != 5 {
		h.Fatalf("backup tokens of %s: %v", email, got)
	}
	return m.of(email)[0]
}

// half is a pre-tfa token, and the code that was mailed for it.
func (h *house) half(email string) (pre, code string) {
	h.Helper()
	pre = h.pair(h.login(email, password), 202).Access
	if got := h.Post.Last(); got.To != email || got.Method != factor.Email {
		h.Fatalf("the code went to %q by %s, not to %s", got.To, got.Method, email)
	}
	return pre, h.Post.Last().Code
}

func (h *house) account(email string) (u *account.User) {
	h.Helper()
	h.Must(h.Store.View(h.Context(), func(tx store.Tx) (err error) {
		u, err = h.Directory.ByAddressIn(tx, realm, email)
		return err
	}))
	return u
}

// Signup with codes by mail, login, the mailed code, and the backup tokens.
func TestTheEmailDevice(t *testing.T) {
	h, m := mailing(t)
	tokens := h.byMail(m, "kim@example.com")
	if n := len(h.Post.Sent()); n != 0 {
		t.Errorf("signup mailed %d codes", n)
	}
	if !h.account("kim@example.com").Unconfirmed {
		t.Error("an address is confirmed that nobody read")
	}
	pre, code := h.half("kim@example.com")
	h.want("wrong", h.tfa(pre, "000000"), 403, mismatch)
	p := h.pair(h.tfa(pre, code), 200)
	who := h.account("kim@example.com")
	if who.Unconfirmed {
		t.Error("the code came back, and the address is still unconfirmed")
	}
	h.want("test-token", h.testToken(p.Access), 200, `{"email":"kim@example.com","tfa_enabled":true,"full_name":"Kim","id":`+num(who)+`,"device":{"device_type":"email","id":`+num(who)+`}}`)
	h.want("users", h.Do("GET", api+"/users/users", ""), 200, `[{"email":"kim@example.com","tfa_enabled":true,"full_name":"Kim","id":`+num(who)+`,"device":{"device_type":"email","id":`+num(who)+`}}]`)
	h.want("get_my_qrcode", h.Do("GET", api+"/tfa/get_my_qrcode", "", bearer(p.Access)), 400, `{"detail":"User kim@example.com has not tfa enabled or has not a 'code_generator' device"}`)
	h.want("enable_tfa", h.enable(p.Access, "email"), 400, `{"detail":"Two factor authentication already active for user kim@example.com"}`)
	pre, first := h.half("kim@example.com")
	again, second := h.half("kim@example.com") // to have another one mailed, one logs in again
	h.want("the older code", h.tfa(pre, first), 403, mismatch)
	h.pair(h.tfa(pre, second), 200)
	h.want("twice", h.tfa(again, second), 403, mismatch)
	h.pair(h.recover(again, tokens[0]), 200)
	pre, code = h.half("kim@example.com")
	h.want("a backup token, twice", h.recover(pre, tokens[0]), 403, `{"detail":"TOTP backup token not found"}`)
	h.Time.Advance(5*time.Minute + time.Second)
	h.challenged("too late", h.tfa(pre, code), 401, preExpired)
}

// enable_tfa with either device mails backup tokens, once, and ends all sessions.
func TestEnableTFAMailsBackupTokens(t *testing.T) {
	for _, device := range []string{"email", "code_generator"} {
		h, m := mailing(t)
		h.want("signup", h.signup(signupBody("kim@example.com", "")), 200, "")
		if m.of("kim@example.com") != nil {
			t.Error("tokens without a device")
		}
		p := h.pair(h.login("kim@example.com", password), 200)
		want := map[string]string{"email": "", "code_generator": "png"}[device]
		h.want(device, h.enable(p.Access, device), 200, want)
		h.challenged("the session", h.testToken(p.Access), 403, credentials)
		tokens := m.of("kim@example.com")
		if len(tokens) != 1 || len(tokens[0]) != 5 {
			t.Fatalf("%s: backup tokens: %v", device, tokens)
		}
		h.pair(h.recover(h.pair(h.login("kim@example.com", password), 202).Access, tokens[0][0]), 200)
	}
}

// Signup with a code generator mails them too, and without mail it works all the same.
func TestSignupMailsBackupTokens(t *testing.T) {
	h, m := mailing(t)
	h.want("signup", h.signup(signupBody("kim@example.com", "code_generator")), 200, "png")
	if got := m.of("kim@example.com"); len(got) != 1 || len(got[0]) != 5 {
		t.Errorf("backup tokens: %v", got)
	}
	m.off = true
	h.want("signup without mail", h.signup(signupBody("two@example.com", "code_generator")), 200, "png")
	if got := m.of("two@example.com"); got != nil {
		t.Errorf("backup tokens: %v", got)
	}
	h.Post.Offer()
	noMail := `{"detail":"Codes by e-mail are not sent here: choose the device_type code_generator."}`
	h.want("a mailed device without mail", h.signup(signupBody("three@example.com", "email")), 400, noMail)
	h.want("signup", h.signup(signupBody("three@example.com", "")), 200, "") // nothing was kept
	h.want("enable_tfa", h.enable(h.pair(h.login("three@example.com", password), 200).Access, "email"), 400, noMail)
}

// Tokens that were mailed are noted as such: whoever reads the mailbox resets a password,
// and must not pass with one of them. A set that an administrator makes is none of those.
func TestMailedTokensAreNoted(t *testing.T) {
	h, m := mailing(t)
	h.byMail(m, "kim@example.com")
	h.want("signup", h.signup(signupBody("two@example.com", "code_generator")), 200, "png")
	m.off = true
	h.want("signup without mail", h.signup(signupBody("three@example.com", "code_generator")), 200, "png")
	h.Must(h.Store.Update(t.Context(), func(tx store.Tx) error {
		two, err := h.Directory.ByAddressIn(tx, realm, "two@example.com")
		h.Must(err)
		_, err = h.Factors.NewRecoveryCodes(tx, account.Local(), two.ID)
		return err
	}))
	for email, want := range map[string]bool{"kim@example.com": true, "two@example.com": false, "three@example.com": false} {
		h.Must(h.Store.View(t.Context(), func(tx store.Tx) error {
			u, err := h.Directory.ByAddressIn(tx, realm, email)
			h.Must(err)
			got, err := h.Factors.RecoveryMailed(tx, u.ID)
			if got != want {
				t.Errorf("%s: mailed %v", email, got)
			}
			return err
		}))
	}
}

// What fails to queue the tokens keeps the user out of the store: nobody has a device
// whose tokens are lost.
func TestTokensThatCannotBeQueuedUndoTheDevice(t *testing.T) {
	h, m := mailing(t)
	m.fails = errors.New("the outbox fails")
	if a := h.signup(signupBody("kim@example.com", "email")); a.Status != 500 {
		t.Errorf("signup: %d %s", a.Status, a.Body)
	}
	m.fails = nil
	h.byMail(m, "kim@example.com")
}

// The mail server goes: a login still comes to the second step, where a token helps.
func TestWhoseDeviceIsNotMailedAnyMore(t *testing.T) {
	h, m := mailing(t)
	tokens := h.byMail(m, "kim@example.com")
	h.Post.Offer()
	h.pair(h.recover(h.pair(h.login("kim@example.com", password), 202).Access, tokens[0]), 200)
}

// tasks/* queue a mail and tell what became of it, in Celery's words.
func TestTasks(t *testing.T) {
	h, m := mailing(t)
	h.want("a task", h.Do("GET", api+"/tasks/test-celery", ""), 200, `{"task_id":"task-0"}`)
	status := func(what, id, state string) {
		t.Helper()
		h.want(what, h.Do("GET", api+"/tasks/taskstatus?task_id="+id, ""), 200, `{"state":"`+state+`","result":null}`)
	}
	status("queued", "task-0", "PENDING")
	for _, state := range []fastapi2fa.State{fastapi2fa.Success, fastapi2fa.Failure} {
		m.mu.Lock()
		m.states["task-0"] = state
		m.mu.Unlock()
		status(string(state), "task-0", string(state))
	}
	status("unknown", "nothing", "PENDING")
	h.want("no task", h.Do("GET", api+"/tasks/taskstatus", ""), 422, found(`{"loc":["query","task_id"],`+missingField))
	m.fails = errors.New("the store fails")
	for _, path := range []string{"/tasks/test-celery", "/tasks/taskstatus?task_id=task-0"} {
		if a := h.Do("GET", api+path, ""); a.Status != 500 {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	m.fails, m.off = nil, true
	h.want("no mail", h.Do("GET", api+"/tasks/test-celery", ""), 503, `{"detail":"No mail is sent here, so there is no task to start."}`)
}

// Attack: a code or a token that was mailed to one person, at another's second step, and
// a mailed code in place of a backup token.
func TestM3AMailedCodeIsItsOwners(t *testing.T) {
	h, m := mailing(t)
	anns := h.byMail(m, "ann@example.com")
	h.byMail(m, "bob@example.com")
	_, code := h.half("ann@example.com")
	pre, bobs := h.half("bob@example.com")
	h.want("another's code", h.tfa(pre, code), 403, mismatch)
	h.want("another's token", h.recover(pre, anns[0]), 403, `{"detail":"TOTP backup token not found"}`)
	h.want("a code for a token", h.recover(pre, bobs), 403, `{"detail":"TOTP backup token not found"}`)
	h.want("a token for a code", h.tfa(pre, m.of("bob@example.com")[0][0]), 403, mismatch)
	h.pair(h.tfa(pre, bobs), 200)
}

// Attack: somebody signs up with another person's address. They come to no session
// without that person's mail, the address stays unconfirmed, and what the owner gets is
// throttled.
func TestSomebodyElsesAddress(t *testing.T) {
	h, m := mailing(t)
	h.byMail(m, "victim@example.com")
	for range 9 {
		h.pair(h.login("victim@example.com", password), 202)
	}
	if n := len(h.Post.Sent()) + len(m.of("victim@example.com")); n != 5 {
		t.Errorf("%d mails in a quarter of an hour", n)
	}
	if !h.account("victim@example.com").Unconfirmed {
		t.Error("the address is confirmed")
	}
}

// Attack: where signup is open, a stranger has the gateway write to a thousand addresses.
func TestSignupsMailIsThrottledByNetwork(t *testing.T) {
	h, m := mailing(t, func(o *fastapi2fa.Options) {
		o.Signup = true
		o.AllowFrom = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	}, from("203.0.113.9"))
	mailed := 0
	for i := range 25 {
		email := fmt.Sprintf("n%d@example.com", i)
		a := h.Do("POST", api+"/auth/signup", signupBody(email, "email"), jsonType, "Host: 127.0.0.1")
		if i >= 20 && (a.Status != 429 || a.Header.Get("Retry-After") == "") {
			t.Errorf("signup %d: %d %s", i, a.Status, a.Body)
		}
		mailed += len(m.of(email))
	}
	if mailed != 20 {
		t.Errorf("%d mails", mailed)
	}
}

// Attack: a wrong password has a code mailed, or tells whose device is mail.
func TestE2AWrongPasswordMailsNothing(t *testing.T) {
	h, m := mailing(t)
	h.byMail(m, "kim@example.com")
	for _, email := range []string{"kim@example.com", "nobody@example.com"} {
		h.want(email, h.login(email, "wrong horse battery"), 401, `{"detail":"Incorrect email or password"}`)
	}
	if n := len(h.Post.Sent()); n != 0 {
		t.Errorf("%d codes were mailed", n)
	}
}

// Attack: one mailed code in two hundred posts at once, over two logins.
func TestO3AMailedCodeOpensOneSession(t *testing.T) {
	h, m := mailing(t)
	h.byMail(m, "kim@example.com")
	one, _ := h.half("kim@example.com")
	two, code := h.half("kim@example.com")
	var wait sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range 200 {
		wait.Go(func() {
			a := h.tfa([]string{one, two}[i%2], code)
			mu.Lock()
			defer mu.Unlock()
			statuses[a.Status]++
		})
	}
	wait.Wait()
	if statuses[200] != 1 {
		t.Errorf("%v", statuses)
	}
}

// Attack: the token of one door at another, with a good code.
func TestM1AMailedLoginIsThisDoors(t *testing.T) {
	h, m := mailing(t)
	h.byMail(m, "kim@example.com")
	pre, code := h.half("kim@example.com")
	p := h.pair(h.tfa(pre, code), 200)
	for what, token := range map[string]string{"access": p.Access, "refresh": p.Refresh, "nothing": "x"} {
		if a := h.tfa(token, code); a.Status != 403 || !strings.Contains(a.Body, "Could not validate credentials") {
			t.Errorf("%s at the second step: %d %s", what, a.Status, a.Body)
		}
	}
	pre, _ = h.half("kim@example.com")
	h.challenged("half a login at a protected call", h.testToken(pre), 403, credentials)
}

// Enabling a mailed device obeys what enabling any does: the password is fresh, and the
// realm lets the person.
func TestEnablingByMailNeedsAFreshPassword(t *testing.T) {
	h, m := mailing(t)
	h.want("signup", h.signup(signupBody("kim@example.com", "")), 200, "")
	p := h.pair(h.login("kim@example.com", password), 200)
	h.Time.Advance(15*time.Minute + time.Second)
	h.want("late", h.enable(p.Access, "email"), 403, `{"detail":"Your login is older than 15 minutes: log in again to enable two factor authentication."}`)
	if m.of("kim@example.com") != nil {
		t.Error("backup tokens were mailed")
	}
}
