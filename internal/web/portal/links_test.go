package portal_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/login/mailtest"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const otherWords = "amber viaduct whistles softly"

// linked is a house that sends links, and where people register with two domains.
func linked(t *testing.T) *house {
	t.Helper()
	settings := account.Settings{Methods: []string{"totp", "email", "sms"}, Registration: &account.Registration{Domains: []string{"example.com", "example.net"}}}
	return build(t, plan{sender: &box{}, realms: map[string]account.Settings{"users": settings}})
}

// forgot asks for a link and returns it as it stands in the mailbox.
func (h *house) forgot(name string) string {
	h.t.Helper()
	must(h.t, h.doors.RequestReset(h.t.Context(), name, "", login.Client{}))
	return login.ResetPath + "?token=" + h.mail.Last(mailtest.Reset).Token
}

func (h *house) registration(address string) string {
	h.t.Helper()
	must(h.t, h.doors.Register(h.t.Context(), "", address, login.Client{}))
	return login.RegisterPath + "?token=" + h.mail.Last(mailtest.Registration).Token
}

// notice is the link of a message about a new password of somebody.
func (h *house) notice(name string) string {
	h.t.Helper()
	must(h.t, h.store.Update(h.t.Context(), func(tx store.Tx) error {
		u, err := h.directory.ByRef(tx, principal.Ref{Name: name, Realm: "users"})
		if err == nil {
			_, err = h.directory.SetPassword(tx, account.Self(u.ID), u.ID, u.Password)
		}
		return err
	}))
	return login.NotMePath + "?token=" + h.mail.Last(string(login.PasswordChanged)).Token
}

// open follows a link of a mail.
func (b *browser) open(link string) *page {
	b.h.t.Helper()
	return b.follow(b.get(link))
}

// offers reports whether a page has a link with this path.
func (p *page) offers(path string) bool {
	return slices.ContainsFunc(p.Links, func(l string) bool { return l == path || strings.HasPrefix(l, path+"?") })
}

// Attack: whoever sees a link pass by (a scanner of mail, a proxy's log, the Referer of
// the next site) uses it up, or has it. Looking burns nothing, whatever the method and
// however often; the token is in no page, no address that follows and no Referer.
func TestLookingAtMailedLinksBurnsNothingAndShowsNothing(t *testing.T) {
	h := linked(t)
	h.mailed("alice", factor.TOTP)
	notice := h.notice("alice") // of a new password, which ends the links of before
	for _, c := range []struct{ link, title, action string }{
		{h.forgot("alice"), "Your new password", "/sallyport/reset/confirm"},
		{h.registration("new@example.com"), "Create an account", "/sallyport/register/confirm"},
		{notice, "This was not me", "/sallyport/not-me"},
	} {
		token := c.link[strings.LastIndexByte(c.link, '=')+1:]
		for range 3 {
			scanner := h.browser()
			if p := scanner.do(scanner.request(http.MethodHead, c.link, nil)); p.Status != 200 || len(scanner.pendingCookies()) != 0 {
				t.Errorf("HEAD %s: %d, cookies %q", c.action, p.Status, scanner.pendingCookies())
			}
			p := scanner.get(c.link)
			if p.Status != 303 || strings.Contains(p.Location, token) || p.Header.Get("Referrer-Policy") != "same-origin" || p.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("GET %s: %d to %q, %v", c.action, p.Status, p.Location, p.Header)
			}
			if cookie := p.Header.Get("Set-Cookie"); !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || !strings.Contains(cookie, "Max-Age=600") || strings.Contains(cookie, token) {
				t.Errorf("%s: the cookie is %q", c.action, cookie)
			}
			if p = scanner.follow(p).want(t, 200, c.title); strings.Contains(p.Body, token) {
				t.Errorf("%s shows its token", c.action)
			}
		}
		b := h.browser()
		p := b.open(c.link).want(t, 200, c.title)
		if !slices.ContainsFunc(p.Forms, func(f formOf) bool { return f.Action == c.action && f.Fields.Get("token") == "" }) {
			t.Errorf("%s: forms %+v", c.action, p.Forms)
		}
	}
	if h.mail.Count(string(login.ResetUsed)) != 0 {
		t.Error("somebody looked, and the password is another")
	}
}

// Attack (S7): the link of one purpose is opened at the page of another; the cookie that
// one was traded for is sent to another's form; a half login, to a form of a link. Each
// kind is good at its own page alone.
func TestS7LinksAndTheirCookiesAreGoodAtTheirOwnPageAlone(t *testing.T) {
	h := linked(t)
	h.mailed("alice", factor.TOTP)
	links := map[string]string{login.NotMePath: h.notice("alice")} // of a new password, which ends the links of before
	links[login.ResetPath], links[login.RegisterPath] = h.forgot("alice"), h.registration("new@example.com")
	paths := []string{login.ResetPath, login.RegisterPath, login.NotMePath, login.InvitePath, "/sallyport/setup"}
	fields := url.Values{"new_password": {otherWords}, "again": {otherWords}, "code": {"123456"}, "username": {"mallory"}}
	for own, link := range links {
		token := link[strings.LastIndexByte(link, '=')+1:]
		b := h.browser()
		b.open(link)
		id := b.at.Query().Get("l")
		if b.page.Status != 200 || id == "" {
			t.Fatalf("the link to %s: %d %q", own, b.page.Status, b.page.Title)
		}
		for _, path := range append(slices.Clone(paths), "/sallyport/login/code", "/sallyport/enroll/", "/sallyport/reset/challenge", "/sallyport/login/challenge") {
			if path == own || strings.HasPrefix(path, "/sallyport/reset/") && own == login.ResetPath {
				continue
			}
			if slices.Contains(paths, path) {
				h.browser().get(path+"?token="+token).want(t, 403, "This link has ended")
				b.get(path+"?l="+id).want(t, 403, "This link has ended")
			}
			form := url.Values{"l": {id}}
			for name, v := range fields {
				form[name] = v
			}
			if got := b.post(path, form); got.Status != 401 {
				t.Errorf("the cookie of %s at %s: %d %q", own, path, got.Status, got.Title)
			}
		}
		h.browser().get(own+"?token="+token[:len(token)-1]).want(t, 403, "This link has ended")
		h.browser().get(own+"?token=spi_x").want(t, 403, "This link has ended")
		h.browser().get(own).want(t, 403, "This link has ended")
	}
	halfway := h.browser()
	halfway.halfway("alice", "/sallyport/login")
	for path := range links {
		if got := halfway.post(path, url.Values{"l": {halfway.at.Query().Get("l")}, "new_password": {otherWords}, "again": {otherWords}}); got.Status != 401 {
			t.Errorf("a half login at %s: %d %q", path, got.Status, got.Title)
		}
	}
}

// Attack (S4): a page of another site posts these forms with the visitor's browser, or
// has it send mail to people.
func TestS4FormsOfMailedLinksTakeNoForeignOrigin(t *testing.T) {
	h := linked(t)
	h.mailed("alice", factor.TOTP)
	b := h.browser()
	b.open(h.notice("alice"))
	before := len(h.mail.Sent())
	form := url.Values{"l": {b.at.Query().Get("l")}, "username": {"alice"}, "x": {"y"}}
	for _, path := range []string{"/sallyport/reset", login.ResetPath, "/sallyport/reset/challenge", "/sallyport/register", login.RegisterPath, login.NotMePath} {
		for name, value := range map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"} {
			r := b.request(http.MethodPost, path, form)
			r.Header.Set(name, value)
			b.do(r).want(t, 403, "Not allowed")
		}
		for _, query := range []string{"?username=alice", "?username=victim@example.com"} {
			b.get(path + query)
		}
	}
	if after := len(h.mail.Sent()); after != before {
		t.Errorf("%d letters were sent", after-before)
	}
	b.open(h.notice("alice")).want(t, 200, "This was not me")
}

// Attack (E2): a stranger types names and addresses and compares what he sees. One
// answer for all of them: status, address that follows, headers, page.
func TestE2PagesTellNobodyWhoIsHere(t *testing.T) {
	h := linked(t)
	h.mailed("alice")
	h.mailed("off")
	h.person("silent", "users", false)
	must(t, h.store.Update(t.Context(), func(tx store.Tx) error {
		u, err := h.directory.ByRef(tx, principal.Ref{Name: "off", Realm: "users"})
		if err == nil {
			_, err = h.directory.SetDisabled(tx, account.Local(), u.ID, true)
		}
		return err
	}))
	seen := func(p *page) string {
		p.Header.Del("Date")
		return fmt.Sprint(p.Status, p.Header, p.Body) // maps are printed in order
	}
	for path, names := range map[string][]string{
		"/sallyport/reset":    {"alice", "alice@example.com", "ALICE@users", "off", "silent", "nobody", "x@y.example", "alice@nowhere", "\u202e"},
		"/sallyport/register": {"alice@example.com", "off@example.com", "nobody@example.com", "ALICE@EXAMPLE.NET"},
	} {
		var want string
		for _, name := range names {
			b := h.browser()
			got := seen(b.post(path, url.Values{"username": {name}, "realm": {"users"}}).want(t, 200, "Look into your mailbox"))
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s tells %q apart:\n%s\nand the first one:\n%s", path, name, got, want)
			}
		}
	}
	if n := h.mail.Count(mailtest.Reset); n != 3 {
		t.Errorf("%d links for three spellings of alice", n)
	}
	if h.mail.Count(mailtest.AccountExists) != 2 || h.mail.Count(mailtest.Registration) != 2 {
		t.Errorf("letters: %+v", h.mail.Sent())
	}
}

// What is of no use is not offered, and is no page: links need mail and a portal, an
// account a realm that lets people register, and capabilities close it, whatever is set.
func TestTheFirstDoorOffersWhatThereIs(t *testing.T) {
	unlinked := build(t, plan{mail: mailtest.WithoutLinks(t)})
	if p := unlinked.browser().get("/sallyport/login").want(t, 200, "Sign in"); p.offers("/sallyport/reset") || p.offers("/sallyport/register") {
		t.Errorf("where no link can be sent the first door offers %q", p.Links)
	}
	for _, path := range []string{"/sallyport/reset", "/sallyport/register"} {
		unlinked.browser().get(path).want(t, 404, "Not found")
		unlinked.browser().post(path, url.Values{"username": {"x@example.com"}}).want(t, 404, "Not found")
	}

	closed := build(t, plan{realms: map[string]account.Settings{"users": {}}})
	if p := closed.browser().get("/sallyport/login"); !p.offers("/sallyport/reset") || p.offers("/sallyport/register") {
		t.Errorf("without registration the first door offers %q", p.Links)
	}
	closed.browser().post("/sallyport/register", url.Values{"username": {"x@example.com"}}).want(t, 404, "Not found")

	h := linked(t)
	if p := h.browser().get("/sallyport/login"); !p.offers("/sallyport/reset") || !p.offers("/sallyport/register") {
		t.Errorf("the first door offers %q", p.Links)
	}
	for _, realm := range []string{"admin", "nowhere", "a@b"} {
		h.browser().get("/sallyport/register?"+url.Values{"realm": {realm}}.Encode()).want(t, 404, "Not found")
	}
}

// The names that a first door takes are those of its site's rule: a name alone means
// another person elsewhere. What it offers is for the same realm, or the wrong mailbox
// gets the link, and the right one none.
func TestLinksAreForTheRealmOfTheSite(t *testing.T) {
	h := build(t, plan{
		rules:  []guard.Rule{{Paths: []string{"/staff/*"}, Realms: []string{"staff"}}, {Realms: []string{"users"}}},
		realms: map[string]account.Settings{"staff": {}, "users": {Registration: &account.Registration{}}},
	})
	for _, realm := range []string{"users", "staff"} {
		id, _ := h.person("alice", realm, false)
		h.address(id, "alice@"+realm+".example")
	}
	for target, want := range map[string]string{"/staff/a": "alice@staff.example", "/b": "alice@users.example"} {
		b := h.browser()
		p := b.get("/sallyport/login?"+url.Values{"rd": {target}}.Encode()).want(t, 200, "Sign in")
		if p.offers("/sallyport/register") != (target == "/b") {
			t.Errorf("on the way to %s: %q", target, p.Links)
		}
		b.get(p.link(t, "/sallyport/reset")).want(t, 200, "Set a new password")
		b.send("/sallyport/reset", "username", "alice").want(t, 200, "Look into your mailbox")
		if got := h.mail.Last(mailtest.Reset).To; got != want {
			t.Errorf("for alice of %s a link went to %s", target, got)
		}
	}
}

// Whoever asks too often from one network hears how long to wait, not that something
// typed was wrong.
func TestMailedLinksPerNetworkAreASentence(t *testing.T) {
	h := build(t, plan{client: func(*http.Request) netip.Addr { return netip.MustParseAddr("198.51.100.7") }})
	for range 40 {
		b := h.browser()
		if p := b.post("/sallyport/reset", url.Values{"username": {"nobody"}}); p.Status != 200 {
			p.want(t, 429, "Set a new password").says(t, "Enough messages were asked for")
			if p.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			b.post("/sallyport/register", url.Values{"username": {"x@example.com"}}).want(t, 429, "Create an account").says(t, "Enough messages were asked for")
			return
		}
	}
	t.Error("forty messages, and no end")
}

// Attack (CVE-2024-47000 and its kind; security-model section 4): whoever reads somebody's
// mail asks for a new password, and for the code of the second proof by mail too. The page
// neither offers that nor does it, whatever the form says; the number is masked.
func TestAResetTakesNoCodeByMail(t *testing.T) {
	mail := &box{}
	h := build(t, plan{sender: mail, realms: map[string]account.Settings{"users": {Methods: []string{"totp", "email", "sms"}}}})
	id, _ := h.mailed("alice", factor.Email, factor.SMS)
	b := h.browser()
	p := b.open(h.forgot("alice")).want(t, 200, "Your new password").says(t, "When you ask for one, it goes to")
	if strings.Contains(p.Body, "+41791234589") || slices.ContainsFunc(p.Links, func(l string) bool { return strings.Contains(l, "way=email") }) {
		t.Errorf("the page says too much:\n%s", p.Body)
	}
	l := b.at.Query().Get("l")
	sent := mail.count()
	for _, way := range []string{"email", "totp", "passkey", "recovery_code", "", "x"} {
		b.post("/sallyport/reset/challenge", url.Values{"l": {l}, "way": {way}}).want(t, 400, "Not understood")
	}
	b.get("/sallyport/reset/challenge?way=sms&l="+l).want(t, 405, "Cannot be opened")
	if mail.count() != sent {
		t.Fatalf("%d codes were sent", mail.count()-sent)
	}
	b.open(login.ResetPath+"?l="+l+"&way=email").says(t, "When you ask for one, it goes to")
	b.submit("/sallyport/reset/challenge").want(t, 200, "Your new password").says(t, "A code was sent to")
	code := mail.last(t)
	if code.Method != factor.SMS || strings.Contains(b.page.Body, code.To) || strings.Contains(b.page.Body, code.Code) {
		t.Fatalf("a code by %s to %s:\n%s", code.Method, code.To, b.page.Body)
	}
	b.send("/sallyport/reset/confirm", "new_password", otherWords, "again", otherWords, "code", wrongOf(code.Code)).want(t, 401, "Your new password").says(t, "A code was sent to")
	b.submit("/sallyport/reset/confirm", "new_password", otherWords, "again", otherWords, "code", code.Code).want(t, 200, "Second step").says(t, "Your new password is set")
	if u := h.user(id); u.Factors() != 2 {
		t.Errorf("%d factors are left", u.Factors())
	}
}

// A person whose only second proofs arrive by mail, as recovery codes did that an older
// system sent, gets no form, and a sentence.
func TestAResetWithNoWay(t *testing.T) {
	h := build(t, plan{sender: &box{}, realms: map[string]account.Settings{"users": {Methods: []string{"email"}}}})
	id, _ := h.mailed("bob", factor.Email)
	must(t, h.store.Update(t.Context(), func(tx store.Tx) error { return h.factors.Mailed(tx, id) }))
	b := h.browser()
	p := b.open(h.forgot("bob")).want(t, 200, "Your new password").says(t, "does not arrive by mail")
	if len(p.Forms) != 0 {
		t.Errorf("forms: %+v", p.Forms)
	}
	b.post(login.ResetPath, url.Values{"l": {b.at.Query().Get("l")}, "new_password": {otherWords}, "again": {otherWords}, "code": {"123456"}}).want(t, 409, "Your new password")
}

// Attack (O6): a link is used to guess the code of the second proof. Five wrong ones end
// it, in whatever browsers and whatever they are called.
func TestGuessesAtALinkEndIt(t *testing.T) {
	h := linked(t)
	h.mailed("alice", factor.TOTP)
	link := h.forgot("alice")
	for range 2 {
		b := h.browser()
		b.open(link).want(t, 200, "Your new password")
		for range 2 {
			b.send("/sallyport/reset/confirm", "new_password", otherWords, "again", otherWords, "code", "000000").want(t, 401, "Your new password")
		}
	}
	b := h.browser()
	b.open(link).want(t, 200, "Your new password")
	b.send("/sallyport/reset/confirm", "new_password", otherWords, "again", otherWords, "code", "000000").want(t, 403, "This link has ended")
	if p := h.browser().get(link).want(t, 403, "This link has ended"); !p.offers("/sallyport/reset") {
		t.Errorf("the page of a dead link leads to %q", p.Links)
	}
	if got := b.pendingCookies(); len(got) != 0 {
		t.Errorf("the browser still holds %q", got)
	}
}

// Without a second proof the new password is the login; where one is demanded and nobody
// may set it up, the page says that the password is set all the same.
func TestWhereANewPasswordLeads(t *testing.T) {
	one := 1
	h := build(t, plan{realms: map[string]account.Settings{"users": {Factors: &one}}})
	h.mailed("carol")
	b := h.browser()
	b.open(h.forgot("carol")).want(t, 200, "Your new password")
	b.submit("/sallyport/reset/confirm", "new_password", otherWords, "again", "another").want(t, 422, "Your new password")
	b.submit("/sallyport/reset/confirm", "new_password", otherWords, "again", otherWords).want(t, 200, "You are signed in").says(t, "Your new password is set")

	closed := build(t, plan{realms: map[string]account.Settings{"users": {Enrollment: account.EnrollOff}}})
	closed.mailed("dave")
	b = closed.browser()
	b.open(closed.forgot("dave"))
	b.submit("/sallyport/reset/confirm", "new_password", otherWords, "again", otherWords).want(t, 403, "A second proof is needed").says(t, "Your new password is set.")
	if len(b.pendingCookies()) != 0 {
		t.Error("the link's cookie is left")
	}
}

// Attack: two links are about one address, the account is made by the first, and who has
// the other makes a second account with it.
func TestAnAddressRegistersOnce(t *testing.T) {
	h := linked(t)
	b := h.browser()
	b.open(h.registration("new@example.com")).want(t, 200, "Create an account")
	b.send("/sallyport/register/confirm", "username", "a@b", "new_password", password, "again", password).want(t, 422, "Create an account")
	h.mailed("new") // an administrator was faster
	p := b.submit("/sallyport/register/confirm", "username", "newton", "new_password", password, "again", password).want(t, 409, "You have an account")
	if !p.offers("/sallyport/login") {
		t.Errorf("it leads to %q", p.Links)
	}
}

// Attack: a realm lets people register, a link goes out, and the administrator closes the
// realm. The link opens nothing from then on, nor does what it was traded for.
func TestALinkDiesWithTheRegistrationOfItsRealm(t *testing.T) {
	h := build(t, plan{realms: map[string]account.Settings{"users": {}}})
	registration := func(yes bool) {
		must(t, h.store.Update(t.Context(), func(tx store.Tx) error {
			s := account.Settings{}
			if yes {
				s.Registration = &account.Registration{}
			}
			_, err := h.directory.SetRealm(tx, account.Local(), "guests", s, nil, 0)
			return err
		}))
	}
	registration(true)
	must(t, h.doors.Register(t.Context(), "guests", "new@example.com", login.Client{}))
	link := login.RegisterPath + "?token=" + h.mail.Last(mailtest.Registration).Token
	b := h.browser()
	b.open(link).want(t, 200, "Create an account")
	registration(false)
	h.browser().get(link).want(t, 403, "This link has ended")
	if p := b.send("/sallyport/register/confirm", "username", "newton", "new_password", password, "again", password); p.Status != 403 {
		t.Errorf("the form of before: %d %q", p.Status, p.Title)
	}
	b.get(login.RegisterPath).want(t, 403, "This link has ended")
	must(t, h.store.View(t.Context(), func(tx store.Tx) error {
		if _, err := h.directory.ByRef(tx, principal.Ref{Name: "newton", Realm: "guests"}); err == nil {
			t.Error("the account was made")
		}
		return nil
	}))
}
