// Package authz answers proxies that ask whether a request may pass:
// forward-auth (Traefik, Caddy, HAProxy), auth-request (nginx) and ext-authz
// (Envoy over HTTP).
//
// An endpoint reads the original request from the headers of its own protocol
// alone, demands each of them exactly once, and asks the guard. A 2xx is
// written in one place, after the guard allowed; everything that cannot be
// read is refused. Only trusted peers are answered at all.
package authz

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// The two places where the endpoints stand: ours, and where users of Authelia
// have them in their proxies.
const (
	prefix      = "/sallyport/authz/"
	otherPrefix = "/api/authz/"
)

// CredentialsAll is the setting by which /api/authz/* takes tokens too.
const CredentialsAll = "all"

// maxCookie bounds what is left of the request's cookies and goes back with a
// 200, in bytes: proxies read an answer's head into small buffers.
const maxCookie = 8 << 10

// Options is what a Handler is made of.
type Options struct {
	Guard *guard.Guard // required
	// Site returns the site of a host. Required.
	Site func(host string) *web.LoginSite
	// Trusted are the proxies that may ask.
	Trusted web.Trusted
	// Stripper knows the identity headers. Nil: those of all presets.
	Stripper *web.Stripper
	// Credentials "all" makes /api/authz/* take tokens, not the cookie alone.
	Credentials string
	// Assertion signs (session.Registry.Assertion). Required where a rule has
	// assertion on; without it such requests are unavailable.
	Assertion func(l session.Live, aud, alg string) (string, error)
	Logger    *slog.Logger     // nil: silent
	Clock     func() time.Time // nil: time.Now
	// OnDecision sees every decision of the guard before it is answered. Nil:
	// nobody does.
	OnDecision func(endpoint string, d *guard.Decision)
}

// Handler is the three endpoints in both places. Safe for concurrent use.
type Handler struct {
	o      Options
	warned atomic.Int64 // when an untrusted peer was last written about, Unix seconds
}

// New returns a Handler.
func New(o Options) (*Handler, error) {
	if o.Guard == nil || o.Site == nil {
		return nil, errors.New("make the authz endpoints: guard and site are required")
	}
	if o.Stripper == nil {
		o.Stripper = web.NewStripper()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Handler{o: o}, nil
}

// kind is one of the three protocols.
type kind uint8

const (
	unknown kind = iota
	forwardAuth
	authRequest
	extAuthz
)

func (k kind) String() string {
	switch k {
	case forwardAuth:
		return "forward-auth"
	case authRequest:
		return "auth-request"
	case extAuthz:
		return "ext-authz"
	}
	return "unknown"
}

// Owns reports whether a raw request target (http.Request.RequestURI) is one
// of the endpoints, or another path beside them that nobody else may answer.
// It is asked before any mux: a mux cleans paths and redirects.
func Owns(target string) bool {
	if strings.HasPrefix(target, prefix) {
		return true
	}
	k, _, _ := endpoint(target)
	return k != unknown
}

// endpoint reads a raw target. rest is what follows ext-authz: the original
// path and query. other: it is one of Authelia's paths.
func endpoint(target string) (k kind, rest string, other bool) {
	name, ok := strings.CutPrefix(target, prefix)
	if !ok {
		if name, other = strings.CutPrefix(target, otherPrefix); !other {
			return unknown, "", false
		}
	}
	if rest, ok := strings.CutPrefix(name, "ext-authz"); ok && (rest == "" || rest[0] == '/' || rest[0] == '?') {
		return extAuthz, rest, other
	}
	name, query, _ := strings.Cut(name, "?")
	switch name {
	case "forward-auth":
		return forwardAuth, query, other
	case "auth-request":
		return authRequest, query, other
	}
	return unknown, "", other
}

// ServeHTTP answers one question.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Cache-Control"] = noStore[:]
	k, rest, other := endpoint(r.RequestURI)
	if k == unknown {
		refuse(w, r, http.StatusNotFound, "not_found", "There is no such endpoint.", 0)
		return
	}
	if !h.o.Trusted.TrustsPeer(r) {
		h.untrusted(w, r)
		return
	}
	if name := h.o.Stripper.Alias(r.Header); name != "" {
		refuse(w, r, http.StatusForbidden, "identity_header", "The request carries an identity header in a spelling that the proxy does not remove.", 0)
		return
	}
	o, err := read(k, rest, other, r)
	if err != nil {
		refuse(w, r, http.StatusBadRequest, "original_request", err.Error(), 0)
		return
	}
	client, err := h.o.Trusted.ForwardedClient(r)
	if err != nil && k != extAuthz { // X-Forwarded-For is none of Envoy's own headers
		refuse(w, r, http.StatusBadRequest, "original_request", errClient.Error(), 0)
		return
	}
	site := h.o.Site(o.host)
	req := guard.Request{
		Method: o.method, Scheme: o.scheme, Host: o.host, Path: o.path,
		Client:     client,
		Cookie:     site.Cookies.Guard(r.Header, o.scheme),
		Preflight:  web.Preflight(o.method, r.Header),
		Navigation: web.Navigation(r.Header),
		Tighten:    o.tighten,
		CookieOnly: other && h.o.Credentials != CredentialsAll,
	}
	// Two Authorization headers are no proof: which of them the upstream
	// would read is not known.
	if a := r.Header["Authorization"]; len(a) == 1 {
		req.Authorization = a[0]
	} else if len(a) > 1 {
		refuse(w, r, http.StatusBadRequest, "original_request", "Authorization is doubled.", 0)
		return
	}
	d := h.o.Guard.Check(r.Context(), &req)
	if h.o.OnDecision != nil {
		h.o.OnDecision(k.String(), &d)
	}
	h.answer(w, r, k, site, &o, &req, &d)
}

// untrusted refuses whoever is not a proxy of ours. The log line says what to
// do about it, at most every ten seconds: anybody can cause it.
func (h *Handler) untrusted(w http.ResponseWriter, r *http.Request) {
	now := h.o.Clock().Unix()
	if last := h.warned.Load(); now-last >= 10 && h.warned.CompareAndSwap(last, now) {
		h.o.Logger.WarnContext(r.Context(), "authz endpoint refused a peer that is not in trusted_proxies; if it is your proxy, add its address there",
			"peer", web.Peer(r).String(), "setting", "trusted_proxies")
	}
	refuse(w, r, http.StatusForbidden, "untrusted_proxy", "This endpoint answers trusted proxies only.", 0)
}
