// Package portal owns the pages of the gateway: the two doors as a person
// sees them, setup, invitations, the own account, and the sentences in which
// everything else is refused. Pages are plain HTML; nothing in them runs.
//
//	login ─ password ─┬─ code, recovery ──┬─ the target, or the start page
//	                  └─ enroll/totp ─────┤  (recovery codes on the way)
//	setup ─ name, password ─ setup/code ──┤
//	invite ─ password ─┬─ code, recovery ─┤
//	                   └─ enroll/totp ────┘
//	account ─ password, totp, recovery-codes, sessions
//
// Every route stands in one table (routes.go) with its methods and with who
// may call it. Before a route's action runs, the request was measured, its
// origin checked if it changes anything, and its caller found: an action
// never decides who may call it.
//
// Between the doors the browser holds an ephemeral token in a cookie of its
// own per login (pending.go); the target of the login stands in the token's
// record. All words are in texts.go.
package portal

import (
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// prefix is what the gateway owns on every host.
const prefix = web.Prefix

// signatureField carries guard's signature of a target through the form.
const signatureField = guard.SignatureParam

// defaultSite is the name of the installation where none is configured.
const defaultSite = "Sallyport"

// Options is what the pages are made of.
type Options struct {
	Doors     *login.Doors
	Sessions  *session.Registry
	Directory *account.Directory
	Factors   *factor.Factors
	Guard     *guard.Guard
	Targets   *guard.Targets
	Store     store.Store
	Audit     *audit.Log
	// Derive makes keys that survive a restart.
	Derive func(purpose string) []byte
	// Portal is the origin of these pages ("https://auth.example.com").
	// Empty: every host has them.
	Portal string
	// Domain is the cookie domain. Empty: cookies of this host alone.
	Domain string
	// Client is who is asking, past trusted proxies. nil: the peer.
	Client func(*http.Request) netip.Addr
	// Scheme is what the browser speaks, where there is no portal that says
	// so. nil: what this process was reached by.
	Scheme func(*http.Request) string
	// Labels are what people call the own methods. None: their names.
	Labels map[string]string
	// Site is the name of the installation, on every page. Default Sallyport.
	Site string
	// Logo stands beside the name, and in the tab: a picture of one of the
	// kinds that LogoKind knows. Empty: our own.
	Logo   []byte
	Clock  func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: silent
}

// Portal answers everything below /sallyport/ that is a page, and health and
// keys. It is safe for concurrent use.
type Portal struct {
	doors     *login.Doors
	sessions  *session.Registry
	directory *account.Directory
	factors   *factor.Factors
	guard     *guard.Guard
	targets   *guard.Targets
	store     store.Store
	audit     *audit.Log
	key       []byte // of the addresses of pictures
	portal    string
	host      string // of the portal, "" where there is none
	cookies   web.Cookies
	client    func(*http.Request) netip.Addr
	schemeOf  func(*http.Request) string
	labels    map[string]string
	site      string
	clock     func() time.Time
	logger    *slog.Logger

	texts               map[string]string
	templates           *template.Template
	style, icon, script asset
	table               []route
}

// New reads the templates and builds the table of routes.
func New(o Options) (*Portal, error) {
	p := &Portal{
		doors: o.Doors, sessions: o.Sessions, directory: o.Directory, factors: o.Factors, guard: o.Guard,
		targets: o.Targets, store: o.Store, audit: o.Audit, key: o.Derive("portal pictures"),
		portal: strings.TrimSuffix(o.Portal, "/"), cookies: web.Cookies{Domain: o.Domain}, client: o.Client, schemeOf: o.Scheme,
		labels: o.Labels, site: o.Site, clock: o.Clock, logger: o.Logger, texts: texts(),
	}
	if p.site == "" {
		p.site = defaultSite
	}
	if p.clock == nil {
		p.clock = time.Now
	}
	if p.client == nil {
		p.client = web.Peer
	}
	if p.schemeOf == nil {
		p.schemeOf = web.Scheme
	}
	if p.logger == nil {
		p.logger = slog.New(slog.DiscardHandler)
	}
	if o.Portal != "" {
		u, err := url.Parse(o.Portal)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("build pages: portal %+q: expected https://host", o.Portal)
		}
		if p.host, err = guard.CanonicalHost(u.Host); err != nil {
			return nil, fmt.Errorf("build pages: portal %+q: %w", o.Portal, err)
		}
		p.cookies.Scheme = u.Scheme
	}
	var err error
	if p.templates, err = p.pages(); err != nil {
		return nil, fmt.Errorf("build pages: %w", err)
	}
	if err = p.readAssets(o.Logo); err != nil {
		return nil, fmt.Errorf("build pages: %w", err)
	}
	p.table = p.routes()
	return p, nil
}

// reserved reports whether a path is below the prefix.
func reserved(path string) bool { return path == "/sallyport" || strings.HasPrefix(path, prefix) }

// exchange starts an answer: whatever becomes of it, its headers are those of
// a page.
func (p *Portal) exchange(w http.ResponseWriter, r *http.Request) *exchange {
	web.SecureHeaders(w.Header())
	w.Header().Set("Content-Security-Policy", policy(stay))
	x := &exchange{p: p, w: w, r: r, now: p.clock(), query: fields{}, form: fields{}, scheme: p.schemeOf(r)}
	if p.portal != "" {
		x.scheme, _, _ = strings.Cut(p.portal, "://")
		host, err := guard.CanonicalHost(r.Host)
		x.guarded = err != nil || host != p.host
	}
	return x
}

// finish logs an answer that could not be rendered.
func (x *exchange) finish(err error) {
	if err == nil {
		return
	}
	x.log(err)
	h := x.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	x.w.WriteHeader(http.StatusInternalServerError)
	_, _ = x.w.Write([]byte(x.p.say("error.500") + "\n"))
}

// ServeHTTP answers a request below /sallyport/. The path is compared as it
// was sent: an encoded or unclean spelling of a page is no page.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := p.exchange(w, r)
	if err := x.serve(); err != nil {
		x.finish(x.fail(err))
	}
}

func (x *exchange) serve() error {
	path := x.r.URL.EscapedPath()
	if x.guarded && (path == prefix || path == "/sallyport") {
		x.w.Header().Set("Location", x.p.portal+prefix)
		x.w.WriteHeader(http.StatusFound)
		return nil
	}
	if path == "/sallyport" {
		return x.see(prefix)
	}
	rt, ok := x.p.find(path, x.guarded)
	if !ok {
		return errNotFound
	}
	act, by := rt.choose(x.r.Method)
	if act == nil {
		x.w.Header().Set("Allow", rt.allow())
		return x.status(http.StatusMethodNotAllowed)
	}
	if err := x.read(rt); err != nil {
		return err
	}
	if rt.form == machine {
		return act(x)
	}
	if err := x.admit(by); err != nil {
		return err
	}
	return act(x)
}
