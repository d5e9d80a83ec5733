// Package api owns the JSON API below /sallyport/api/v1 and its description,
// /sallyport/openapi.json, which /sallyport/docs shows to people.
//
// Every route is one line of the table in routes.go, which says who may call
// it; a route that says nothing answers nobody. One function maps errors to
// answers (answer): problem documents of RFC 9457 that never repeat what was
// sent. A body has one reading or is refused (checkBody).
//
// The same handler answers on the admin socket, where Options.Local makes
// every caller the local administrator: who may connect was decided by the
// socket.
package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web"
)

const (
	// Prefix is where the API lives.
	Prefix = "/sallyport/api/v1"
	// DescriptionPath is where its OpenAPI document lives.
	DescriptionPath = "/sallyport/openapi.json"
)

// Options are the rooms that the API speaks for, and what it cannot know.
// All are required unless said otherwise.
type Options struct {
	Store     store.Store
	Directory *account.Directory
	Factors   *factor.Factors
	Sessions  *session.Registry
	Throttle  *throttle.Throttle
	Doors     *login.Doors
	Programs  *login.Programs
	Hasher    *secret.Hasher
	Audit     *audit.Log
	Outbox    *notify.Outbox
	Derive    func(purpose string) []byte // keys of the store
	Clock     func() time.Time            // nil: time.Now
	Logger    *slog.Logger                // nil: silent

	// Local makes every caller the local administrator: for the admin socket
	// and for commands that opened the store themselves.
	Local bool

	// Cookies must agree with Portal.
	Cookies web.Cookies
	// Client is who is asking, past trusted proxies. nil: the peer.
	Client func(*http.Request) netip.Addr
	// Scheme is what the browser speaks, where there is no portal that says
	// so. nil: what this process was reached by.
	Scheme func(*http.Request) string

	// Portal is the origin of the pages and of this API, such as
	// "https://auth.example.com". Empty: every guarded host has an API of its
	// own, whose origin it shares with an upstream.
	Portal string
	// SetupBase is where a setup link starts, such as "http://127.0.0.1:9091".
	// Empty, or nil: Portal.
	SetupBase func() string
	// AllowOrigins lists the foreign origins whose scripts may call with a
	// token, exactly as a browser writes them. Never with cookies.
	AllowOrigins []string
	// Version stands in the description.
	Version string
	// Look is that of the pages, for the page of the API.
	Look web.Look
}

// API is the handler. It is safe for concurrent use.
type API struct {
	Options
	mux         *http.ServeMux
	routes      []Route
	onceKey     []byte // of the MACs of idempotency keys and of the requests they came with
	description []byte
	docs        *docs // nil: Local
}

// New builds the API.
func New(o Options) (*API, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Client == nil {
		o.Client = web.Peer
	}
	if o.Scheme == nil {
		o.Scheme = web.Scheme
	}
	o.Portal = strings.TrimSuffix(o.Portal, "/")
	a := &API{Options: o, mux: http.NewServeMux(), onceKey: o.Derive("api idempotency keys")}
	built := humago.NewWithPrefix(a.mux, Prefix, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Sallyport", Version: versionOr(o.Version),
				Description: "Errors are problem documents (RFC 9457) with a stable code. Bodies are JSON objects of at most 64 KiB."},
			Components: components(),
		},
		// The literal map instead of huma.DefaultConfig: no $schema fields, no
		// Link headers, no docs page with foreign scripts.
		Formats: map[string]huma.Format{
			"application/json": huma.DefaultJSONFormat,
			problemType:        huma.DefaultJSONFormat,
		},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{fromHuma},
	})
	a.register(built)
	for _, unused := range []string{"ErrorModel", "ErrorDetail"} { // the framework's own refusals never leave
		delete(built.OpenAPI().Components.Schemas.Map(), unused)
	}
	text, err := json.Marshal(built.OpenAPI())
	if err != nil {
		return nil, err
	}
	a.description = text
	if !o.Local {
		a.docs, err = renderDocs(text, o.Look)
	}
	return a, err
}

func versionOr(v string) string {
	if v == "" {
		return "0"
	}
	return v
}

// Routes returns the table of routes, for tests that walk it.
func (a *API) Routes() []Route { return slices.Clone(a.routes) }

// ServeHTTP answers Prefix/…, DescriptionPath and DocsPath; anything else is 404.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	web.SecureHeaders(w.Header())
	if r.URL.Path == DescriptionPath {
		a.describe(w, r)
		return
	}
	if OwnsDocs(r.URL.Path) {
		a.serveDocs(w, r)
		return
	}
	// ServeMux would answer an unclean path with a redirect.
	if path.Clean(r.URL.Path) != r.URL.Path {
		notFound().write(w)
		return
	}
	if a.preflight(w, r) {
		return
	}
	if _, pattern := a.mux.Handler(r); pattern == "" {
		a.unrouted(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

func notFound() *Problem {
	return problem(http.StatusNotFound, "not_found", "There is nothing here.")
}

func notAllowed(methods []string) *Problem {
	return problem(http.StatusMethodNotAllowed, "method_not_allowed", "This call takes another method.").
		with("Allow", strings.Join(methods, ", "))
}

// unrouted tells a path that exists under another method from none at all.
func (a *API) unrouted(w http.ResponseWriter, r *http.Request) {
	allowed := a.allowed(r)
	switch {
	case len(allowed) == 0:
		notFound().write(w)
	case r.URL.Path == Prefix+"/token": // which has a form of its own
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		a.refuseToken(w, r, notAllowed(allowed))
	default:
		notAllowed(allowed).write(w)
	}
}

func (a *API) allowed(r *http.Request) []string {
	var allowed []string
	for _, method := range [...]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := r.Clone(context.WithoutCancel(r.Context()))
		probe.Method = method
		if _, pattern := a.mux.Handler(probe); pattern != "" {
			allowed = append(allowed, method)
		}
	}
	return allowed
}
