package portal_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/login/mailtest"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web/portal"
)

const password = "four plain words together"

// house is every room over a store in memory, and a server with the pages.
type house struct {
	t         *testing.T
	clock     *storetest.Clock
	store     *store.SealedStore
	directory *account.Directory
	factors   *factor.Factors
	sessions  *session.Registry
	doors     *login.Doors
	guard     *guard.Guard
	targets   *guard.Targets
	portal    *portal.Portal
	server    *httptest.Server
	log       *bytes.Buffer
	mail      *mailtest.Mail
	origin    string // of the pages
}

// domain is a house with a portal on https and a cookie domain.
type plan struct {
	domain bool
	rules  []guard.Rule
	realms map[string]account.Settings
	broken bool // the store fails once the house stands
	logo   string
	before *interrupted
	sender factor.Sender // of codes; nil: none is sent
}

func number(n int) *int { return &n }

func build(t *testing.T, p plan) *house {
	t.Helper()
	h := &house{t: t, clock: storetest.NewClock(time.Now().Truncate(time.Second)), log: &bytes.Buffer{}, mail: mailtest.New(t)}
	if p.realms == nil {
		p.realms = map[string]account.Settings{"open": {Registration: &account.Registration{}}, "users": {Registration: &account.Registration{}}}
	}
	h.store = storetest.Open(t, h.clock.Now)
	logger := slog.New(slog.NewTextHandler(h.log, nil))
	events := audit.New(audit.Options{Logger: slog.New(slog.DiscardHandler)})
	h.directory = account.New(account.Options{Audit: events, Realms: p.realms})
	must(t, h.directory.EnsureReserved(t.Context(), h.store))
	keys := &factor.Passkeys{RPID: "localhost", Name: "Test", Origins: []string{"http://localhost"}}
	if p.domain {
		keys = &factor.Passkeys{RPID: "auth.example.com", Name: "Test", Origins: []string{"https://auth.example.com"}}
	}
	h.factors = factor.New(factor.Options{Directory: h.directory, Audit: events, Derive: h.store.Derive, Passkeys: keys, Sender: p.sender, Own: []factor.Name{"pager"}})
	var err error
	h.sessions, err = session.New(session.Options{Store: h.store, Derive: h.store.Derive, Directory: h.directory,
		Audit: events, Clock: h.clock.Now})
	must(t, err)
	t.Cleanup(func() { must(t, h.sessions.Close()) })
	h.directory.SetLiving(h.sessions)
	var over store.Store = h.store
	if p.before != nil {
		p.before.Store = h.store
		over = p.before
	}
	hasher := secret.NewHasher(secret.HasherOptions{Params: secret.HashParams{MemoryKiB: 1024, Time: 1, Threads: 1}, Slots: 2})
	h.doors = login.New(login.Options{
		Store: over, Directory: h.directory, Factors: h.factors, Sessions: h.sessions,
		Throttle: throttle.New(throttle.DefaultPolicy(), h.store.Derive("throttle")), Hasher: hasher, Audit: events,
		Derive: h.store.Derive, Clock: h.clock.Now, CookieDomain: p.domain,
		Floor: func() time.Duration { return 0 }, Mail: h.mail,
	})
	events.Within(h.doors.Notify)
	if p.rules == nil {
		p.rules = []guard.Rule{{Realms: []string{"users", "admin"}, Factors: number(2)}}
	}
	rules, err := guard.Compile(p.rules, guard.CompileOptions{})
	must(t, err)
	h.guard, err = guard.New(guard.Options{Rules: rules, Sessions: h.sessions, Clock: h.clock.Now})
	must(t, err)
	to := guard.TargetOptions{Rules: rules, Key: h.store.Derive("targets")}
	o := portal.Options{
		Doors: h.doors, Sessions: h.sessions, Directory: h.directory, Factors: h.factors, Guard: h.guard,
		Store: over, Audit: events, Derive: h.store.Derive, Clock: h.clock.Now, Logger: logger, Logo: []byte(p.logo),
		Labels: map[string]string{"pager": "the pager"},
	}
	if p.domain {
		h.origin = "https://auth.example.com"
		to.Portal, to.Domains = h.origin, []string{"example.com"}
		o.Portal, o.Domain = h.origin, "example.com"
	}
	h.targets, err = guard.NewTargets(to)
	must(t, err)
	o.Targets = h.targets
	if p.broken {
		o.Store = brokenStore{h.store}
	}
	h.portal, err = portal.New(o)
	must(t, err)
	h.server = httptest.NewUnstartedServer(h.portal)
	if p.domain {
		h.server.StartTLS()
	} else {
		h.server.Start()
		h.origin = h.server.URL
	}
	t.Cleanup(h.server.Close)
	return h
}

// interrupted lets a test do something just before the nth Update from now on.
type interrupted struct {
	store.Store
	nth    int
	before func()
}

func (s *interrupted) Update(ctx context.Context, fn func(store.Tx) error) error {
	if s.nth--; s.nth == 0 {
		s.before()
	}
	return s.Store.Update(ctx, fn)
}

// brokenStore answers nothing.
type brokenStore struct{ store.Store }

func (brokenStore) View(context.Context, func(store.Tx) error) error { return io.ErrUnexpectedEOF }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// person makes a user with a password, and with an authenticator if asked.
func (h *house) person(name, realm string, withFactor bool) (principal.ID, *factor.Enrollment) {
	h.t.Helper()
	hash, err := secret.NewHasher(secret.HasherOptions{Params: secret.HashParams{MemoryKiB: 1024, Time: 1, Threads: 1}}).Hash(h.t.Context(), password)
	must(h.t, err)
	var id principal.ID
	var e *factor.Enrollment
	must(h.t, h.store.Update(h.t.Context(), func(tx store.Tx) error {
		u, err := h.directory.Create(tx, account.Local(), account.NewUser{Ref: principal.Ref{Name: name, Realm: realm}, PasswordHash: hash})
		if err != nil {
			return err
		}
		id = u.ID
		if withFactor {
			e, err = h.factors.Enroll(tx, account.Local(), id, factor.EnrollOptions{Confirmed: true})
		}
		return err
	}))
	return id, e
}

// code is the code of now. Each is good once: the clock moves on before.
func (h *house) code(e *factor.Enrollment) string {
	h.t.Helper()
	h.clock.Advance(31 * time.Second)
	code, err := e.Params.Code(e.Seed.Reveal(), e.Params.Step(h.clock.Now()))
	must(h.t, err)
	return code
}

// browser is a browser that behaves like a current one: a cookie jar, Origin
// and Sec-Fetch with what a person does, redirects followed by hand.
type browser struct {
	h      *house
	client *http.Client
	page   *page
	at     *url.URL
}

func (h *house) browser() *browser {
	jar, err := cookiejar.New(nil)
	must(h.t, err)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, h.server.Listener.Addr().String())
		},
	}
	h.t.Cleanup(transport.CloseIdleConnections)
	return &browser{h: h, client: &http.Client{Jar: jar, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// page is one answer, read.
type page struct {
	Status   int
	Header   http.Header
	Body     string
	Title    string
	Alert    string
	Notice   string
	Forms    []formOf
	Links    []string
	Images   []string
	Codes    []string // recovery codes
	Secrets  []string // code.secret
	Location string
}

type formOf struct {
	Action string
	Fields url.Values // hidden ones with their values
	Names  []string
}

func (b *browser) do(r *http.Request) *page {
	b.h.t.Helper()
	answer, err := b.client.Do(r)
	must(b.h.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(b.h.t, err)
	p := read(b.h.t, string(body))
	p.Status, p.Header, p.Location = answer.StatusCode, answer.Header, answer.Header.Get("Location")
	b.page, b.at = p, r.URL
	return p
}

func (b *browser) request(method, path string, form url.Values) *http.Request {
	b.h.t.Helper()
	target := path
	if strings.HasPrefix(path, "/") {
		target = b.h.origin + path
	}
	r, err := http.NewRequestWithContext(b.h.t.Context(), method, target, nil)
	must(b.h.t, err)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Accept", "text/html")
	if form != nil {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(form.Encode())), int64(len(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
	}
	return r
}

func (b *browser) get(path string) *page {
	b.h.t.Helper()
	return b.do(b.request(http.MethodGet, path, nil))
}

func (b *browser) post(path string, form url.Values) *page {
	b.h.t.Helper()
	return b.do(b.request(http.MethodPost, path, form))
}

// submit fills in the page's form with this action and follows the answer.
func (b *browser) submit(action string, pairs ...string) *page {
	b.h.t.Helper()
	return b.follow(b.send(action, pairs...))
}

// send fills in the page's form with this action.
func (b *browser) send(action string, pairs ...string) *page {
	b.h.t.Helper()
	i := slices.IndexFunc(b.page.Forms, func(f formOf) bool { return f.Action == action })
	if i < 0 {
		b.h.t.Fatalf("page %q (%d) has no form for %s:\n%s", b.page.Title, b.page.Status, action, b.page.Body)
	}
	values := url.Values{}
	for name, v := range b.page.Forms[i].Fields {
		values[name] = v
	}
	for j := 0; j < len(pairs); j += 2 {
		if !slices.Contains(b.page.Forms[i].Names, pairs[j]) {
			b.h.t.Fatalf("form %s has no field %s", action, pairs[j])
		}
		values.Set(pairs[j], pairs[j+1])
	}
	return b.post(b.at.Scheme+"://"+b.at.Host+action, values)
}

// follow goes where a redirect leads, as long as it stays with the pages.
func (b *browser) follow(p *page) *page {
	b.h.t.Helper()
	for range 5 {
		if p.Location == "" || !strings.HasPrefix(p.Location, "/sallyport/") {
			return p
		}
		p = b.get(p.Location)
	}
	b.h.t.Fatal("redirects without end")
	return nil
}

func (b *browser) cookie(name string) string {
	u, err := url.Parse(b.h.origin)
	must(b.h.t, err)
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// read parses a page.
func read(t *testing.T, body string) *page {
	t.Helper()
	p := &page{Body: body}
	root, err := html.Parse(strings.NewReader(body))
	must(t, err)
	var form *formOf
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
		}
		if n.Type == html.ElementNode {
			switch {
			case n.Data == "h1":
				p.Title = text(n)
			case n.Data == "form":
				p.Forms = append(p.Forms, formOf{Action: attr["action"], Fields: url.Values{}})
				form = &p.Forms[len(p.Forms)-1]
			case n.Data == "input" && form != nil:
				form.Names = append(form.Names, attr["name"])
				if attr["type"] == "hidden" {
					form.Fields.Add(attr["name"], attr["value"])
				}
			case n.Data == "a":
				p.Links = append(p.Links, attr["href"])
			case n.Data == "img":
				p.Images = append(p.Images, attr["src"])
			case attr["role"] == "alert":
				p.Alert = text(n)
			case attr["role"] == "status":
				p.Notice = text(n)
			case n.Data == "code" && attr["class"] == "secret":
				p.Secrets = append(p.Secrets, text(n))
			case n.Data == "li" && n.Parent != nil && slices.ContainsFunc(n.Parent.Attr, func(a html.Attribute) bool { return a.Val == "codes" }):
				p.Codes = append(p.Codes, text(n))
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
		if n.Type == html.ElementNode && n.Data == "form" {
			form = nil
		}
	}
	walk(root)
	return p
}

func text(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		b.WriteString(text(c))
	}
	return strings.TrimSpace(b.String())
}

// scanned reads the authenticator from the page that shows it.
func (p *page) scanned(t *testing.T) *factor.Enrollment {
	t.Helper()
	if len(p.Secrets) != 2 {
		t.Fatalf("page %q (%d) shows no authenticator:\n%s", p.Title, p.Status, p.Body)
	}
	_, seed, params, err := otp.ParseURI(p.Secrets[1])
	must(t, err)
	typed, err := otp.ParseSeed(strings.ReplaceAll(p.Secrets[0], " ", ""))
	must(t, err)
	if !bytes.Equal(seed, typed) {
		t.Fatal("the typed key is not the one in the link")
	}
	return &factor.Enrollment{Seed: secret.NewBytes(seed), Params: params}
}

func (p *page) want(t *testing.T, status int, title string) *page {
	t.Helper()
	if p.Status != status || p.Title != title {
		t.Fatalf("answer %d %q (to %q), want %d %q\n%s", p.Status, p.Title, p.Location, status, title, p.Body)
	}
	return p
}

func (p *page) leads(t *testing.T, target string) {
	t.Helper()
	if p.Status != http.StatusSeeOther || p.Location != target {
		t.Fatalf("answer %d to %q, want 303 to %q\n%s", p.Status, p.Location, target, p.Body)
	}
}

// signIn passes both doors.
func (b *browser) signIn(name string, e *factor.Enrollment, target string) *page {
	b.h.t.Helper()
	path := "/sallyport/login"
	if target != "" {
		path += "?" + url.Values{"rd": {target}}.Encode()
	}
	b.get(path).want(b.h.t, 200, "Sign in")
	b.submit("/sallyport/login", "username", name, "password", password)
	if e == nil {
		return b.page
	}
	b.page.want(b.h.t, 200, "Second step")
	return b.send("/sallyport/login/code", "code", b.h.code(e))
}

// pendingCookie is the name of the one half-login cookie.
func (b *browser) pendingCookies() []string {
	u, err := url.Parse(b.h.origin)
	must(b.h.t, err)
	var names []string
	for _, c := range b.client.Jar.Cookies(u) {
		if strings.Contains(c.Name, "sallyport_login_") {
			names = append(names, c.Name)
		}
	}
	return names
}
