package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/login/mailtest"
	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/api"
)

const (
	portal    = "https://auth.example.com"
	goodWords = "quiet otters paddle upriver"
	badWords  = "noisy badgers sleep downhill"
)

// world is the API over all rooms, on a store in memory, with everything that
// it ever answered or logged.
type world struct {
	testing.TB
	clock    *storetest.Clock
	api      *api.API // as the network sees it
	local    *api.API // as the admin socket sees it
	dir      *account.Directory
	before   []func() // the first is called before the next change that the API begins, and so on
	fail     error    // what the next commits of the API fail with
	sessions *session.Registry
	store    store.Store
	mail     *mailtest.Mail

	puts   atomic.Int64 // records that Updates of the API wrote or deleted
	mu     sync.Mutex
	said   strings.Builder // every answer
	log    strings.Builder
	outbox *notify.Outbox
}

type worldOptions struct {
	noPortal bool
	domain   string
	origins  []string
	realms   map[string]account.Settings
	hasher   *secret.Hasher // nil: a cheap one
	level    slog.Level     // of what is logged; 0: info
	post     *post          // what sends codes; nil: nothing does
	passkeys bool           // are offered, at the portal
}

// newQuietWorld is a world for benchmarks: it logs errors alone.
func newQuietWorld(b *testing.B) *world { return newWorld(b, worldOptions{level: slog.LevelError}) }

// hooked lets a test do something in the moment before a change.
type hooked struct {
	store.Store
	w *world
}

func (h hooked) Update(ctx context.Context, fn func(store.Tx) error) error {
	if before := h.w.before; len(before) > 0 {
		h.w.before = before[1:]
		before[0]()
	}
	return h.Store.Update(ctx, func(tx store.Tx) error {
		if err := fn(counted{tx, h.w}); err != nil {
			return err
		}
		return h.w.fail
	})
}

// counted counts what a transaction writes.
type counted struct {
	store.Tx
	w *world
}

func (c counted) Put(key, value []byte, expires time.Time) error {
	c.w.puts.Add(1)
	return c.Tx.Put(key, value, expires)
}

// written is how many records the API's Updates have written so far.
func (w *world) written() int64 { return w.puts.Load() }

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func newWorld(t testing.TB, o worldOptions) *world {
	t.Helper()
	w := &world{TB: t, clock: storetest.NewClock(time.Date(2026, 5, 4, 9, 0, 5, 0, time.UTC))}
	st := storetest.Open(t, w.clock.Now)
	logger := slog.New(slog.NewJSONHandler(lockedWriter{&w.mu, &w.log}, &slog.HandlerOptions{Level: o.level}))
	log := audit.New(audit.Options{Logger: logger, Clock: w.clock.Now})
	if o.realms == nil {
		one := 1
		o.realms = map[string]account.Settings{"single": {Factors: &one}}
	}
	w.dir = account.New(account.Options{Audit: log, Realms: o.realms})
	must(t, w.dir.EnsureReserved(t.Context(), st))
	rooms := factor.Options{Directory: w.dir, Audit: log, Derive: st.Derive}
	if o.post != nil {
		rooms.Sender = o.post
	}
	if o.passkeys {
		rooms.Passkeys = &factor.Passkeys{RPID: "auth.example.com", Name: "Sallyport", Origins: []string{portal}}
		must(t, rooms.Passkeys.Check())
	}
	factors := factor.New(rooms)
	sessions, err := session.New(session.Options{Store: st, Derive: st.Derive, Directory: w.dir, Audit: log, Clock: w.clock.Now, Logger: logger, Issuer: portal})
	must(t, err)
	w.sessions, w.store = sessions, st
	w.dir.SetLiving(sessions)
	t.Cleanup(func() { must(t, sessions.Close()) })
	counters := throttle.New(throttle.DefaultPolicy(), st.Derive("throttle"))
	hasher := secret.NewHasher(secret.HasherOptions{Params: secret.HashParams{MemoryKiB: 64, Time: 1, Threads: 1}, Queue: 4096})
	if o.hasher != nil {
		hasher = o.hasher
	}
	w.mail = mailtest.New(t)
	if o.noPortal {
		w.mail = mailtest.WithoutLinks(t)
	}
	doors := login.New(login.Options{
		Mail: w.mail, Store: hooked{st, w}, Directory: w.dir, Factors: factors, Sessions: sessions, Throttle: counters, Hasher: hasher, Audit: log,
		Derive: st.Derive, Clock: w.clock.Now, Logger: logger, CookieDomain: o.domain != "", Floor: func() time.Duration { return 0 },
	})
	t.Cleanup(log.Within(doors.Notify))
	w.dir.OnDelete(func(tx store.Tx, u *account.User) error {
		_, err := sessions.RevokeAll(tx, u.ID, "")
		return errors.Join(err, doors.Forget(tx, u.ID), factors.Forget(tx, u.ID), counters.Forget(tx, u.ID))
	})
	w.dir.OnDeleteService(func(tx store.Tx, s *account.Service) error { return counters.Forget(tx, s.ID) })
	programs := login.NewPrograms(login.ProgramOptions{Store: st, Directory: w.dir, Throttle: counters, Audit: log, Derive: st.Derive, Clock: w.clock.Now})
	w.outbox = notify.New(notify.Options{Store: st, Derive: st.Derive, Clock: w.clock.Now})
	options := api.Options{
		Programs: programs, Store: hooked{st, w}, Directory: w.dir, Factors: factors, Sessions: sessions, Throttle: counters, Doors: doors, Hasher: hasher,
		Audit: log, Outbox: w.outbox, Derive: st.Derive, Clock: w.clock.Now, Logger: logger, Portal: portal, AllowOrigins: o.origins,
		Cookies: web.Cookies{Scheme: "https", Domain: o.domain},
	}
	if o.noPortal {
		options.Portal, options.Cookies, options.SetupBase = "", web.Cookies{}, func() string { return "http://localhost:9091" }
	}
	w.api, err = api.New(options)
	must(t, err)
	options.Local = true
	w.local, err = api.New(options)
	must(t, err)
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is what came back.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   string
	fields map[string]any
}

func (a *answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// text is a field of the answer.
func (a *answer) text(name string) string {
	a.t.Helper()
	s, ok := a.fields[name].(string)
	if !ok {
		a.t.Fatalf("no text %q in %v", name, a)
	}
	return s
}

func (a *answer) texts(name string) []string {
	var list []string
	items, _ := a.fields[name].([]any)
	for _, item := range items {
		s, _ := item.(string)
		list = append(list, s)
	}
	return list
}

func (a *answer) code() string { s, _ := a.fields["code"].(string); return s }

// want fails unless the status is this, and for refusals the code too.
func (a *answer) want(status int, code ...string) *answer {
	a.t.Helper()
	if a.status != status || len(code) > 0 && a.code() != code[0] {
		a.t.Fatalf("answer %v, want %d %v", a, status, code)
	}
	return a
}

// visitor sends requests.
type visitor struct {
	w       *world
	handler http.Handler
	token   string
	cookies []*http.Cookie
	header  map[string]string
	from    string
	host    string
}

func (w *world) stranger() *visitor {
	return &visitor{w: w, handler: w.api, from: "192.0.2.1:1234", host: "auth.example.com"}
}

func (w *world) admin() *visitor { return &visitor{w: w, handler: w.local, host: "localhost"} }

func (v *visitor) bearing(token string) *visitor { c := *v; c.token = token; return &c }

func (v *visitor) saying(pairs ...string) *visitor {
	c := *v
	c.header = map[string]string{}
	for k, value := range v.header {
		c.header[k] = value
	}
	for i := 0; i < len(pairs); i += 2 {
		c.header[pairs[i]] = pairs[i+1]
	}
	return &c
}

func (v *visitor) carrying(cookies ...*http.Cookie) *visitor {
	c := *v
	c.cookies = cookies
	return &c
}

// send makes a call below the prefix; body: nil, a string sent as it is, or
// something that becomes JSON.
func (v *visitor) send(method, path string, body any) *answer {
	v.w.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		must(v.w, err)
		reader = bytes.NewReader(text)
	}
	r := httptest.NewRequestWithContext(v.w.Context(), method, "https://"+v.host+api.Prefix+path, reader)
	r.RemoteAddr = v.from
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if v.token != "" {
		r.Header.Set("Authorization", "Bearer "+v.token)
	}
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	for name, value := range v.header {
		if value == "" {
			r.Header.Del(name)
			continue
		}
		r.Header.Set(name, value)
	}
	return v.w.serve(v.handler, r)
}

func (w *world) serve(h http.Handler, r *http.Request) *answer {
	w.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	a := &answer{t: w, status: rec.Code, header: rec.Result().Header, body: rec.Body.String()}
	_ = json.Unmarshal(rec.Body.Bytes(), &a.fields) // lists and pictures have no fields
	w.mu.Lock()
	fmt.Fprintf(&w.said, "%s %s -> %d %v %s\n", r.Method, r.URL.Path, a.status, a.header, a.body)
	w.mu.Unlock()
	oauth := r.URL.Path == api.Prefix+"/token" && a.fields["error"] != nil // RFC 6749 section 5.2
	if a.status >= 400 && !oauth && a.header.Get("Content-Type") != "application/problem+json" {
		w.Errorf("%s %s: a refusal is no problem document: %v %v", r.Method, r.URL.Path, a.header, a)
	}
	kept := (r.URL.Path == api.DescriptionPath || api.OwnsDocs(r.URL.Path)) && a.status < 400 // what is everybody's
	if got := a.header.Get("Cache-Control"); got != "no-store" && !(kept && got == "no-cache") {
		w.Errorf("%s %s: Cache-Control %q", r.Method, r.URL.Path, got)
	}
	return a
}

// person is somebody with what they remember and carry.
type person struct {
	w        *world
	name     string
	realm    string
	password string
	seed     []byte
	codes    []string // recovery codes
}

func (w *world) path(p *person) string { return "/users/" + p.realm + "/" + p.name }

// someone is a user with a password.
func (w *world) someone(ref string) *person {
	w.Helper()
	name, realm, _ := strings.Cut(ref, "@")
	w.admin().send("POST", "/users", map[string]any{"realm": realm, "name": name, "password": goodWords, "email": name + "@example.com"}).want(201)
	return &person{w: w, name: name, realm: realm, password: goodWords}
}

// member is a user with a password and an authenticator.
func (w *world) member(ref string) *person {
	w.Helper()
	p := w.someone(ref)
	a := w.admin().send("POST", w.path(p)+"/totp", map[string]any{}).want(201)
	seed, err := otp.ParseSeed(a.text("secret"))
	must(w, err)
	p.seed, p.codes = seed, a.texts("recovery_codes")
	return p
}

// code is the next code that was not used: each one takes the clock a step on.
func (p *person) code() string {
	p.w.Helper()
	p.w.clock.Advance(30 * time.Second)
	params := otp.Default()
	code, err := params.Code(p.seed, params.Step(p.w.clock.Now()))
	must(p.w, err)
	return code
}

// wrong is a code that is not good in the window.
func (p *person) wrong() string {
	params := otp.Default()
	near := map[string]bool{}
	for d := range int64(5) {
		code, err := params.Code(p.seed, params.Step(p.w.clock.Now())+d-2)
		must(p.w, err)
		near[code] = true
	}
	for i := 0; ; i++ {
		if code := fmt.Sprintf("%06d", i); !near[code] {
			return code
		}
	}
}

// halfway passes the first door.
func (p *person) halfway() *answer {
	p.w.Helper()
	return p.w.stranger().send("POST", "/login", map[string]any{"name": p.name, "realm": p.realm, "password": p.password}).want(200)
}

// signIn passes both doors.
func (p *person) signIn() *answer {
	p.w.Helper()
	a := p.halfway()
	if a.text("status") == "second_factor" {
		a = p.w.stranger().send("POST", "/login/code", map[string]any{"ephemeral_token": a.text("ephemeral_token"), "code": p.code()}).want(200)
	}
	if a.text("status") != "ok" {
		p.w.Fatalf("sign in: %v", a)
	}
	return a
}

// visit signs in and comes back with the token.
func (p *person) visit() *visitor {
	p.w.Helper()
	return p.w.stranger().bearing(p.signIn().text("access_token"))
}

// cookies are those that an answer sets and does not clear.
func (a *answer) cookies() []*http.Cookie {
	var set []*http.Cookie
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.MaxAge >= 0 && c.Value != "" {
			set = append(set, &http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	return set
}
