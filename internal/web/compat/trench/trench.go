// Package trench is the facade of django-trench: a second factor below the REST API
// of a Django project. It speaks two dialects, that of 0.2 and that of 0.3, and the
// three kinds of tokens with which such projects were run.
//
//	login/  jwt/login/  token/login/ ── password ─┬─ tokens
//	                                              └─ ephemeral_token ─ login/code/ ─ tokens
//	<m>/activate/ ─ <m>/activate/confirm/ ─ <m>/codes/regenerate/ ─ <m>/deactivate/
//	code/request/  mfa/config/  mfa/user-active-methods/  mfa/change-primary-method/
//
// All tokens lead to one session of the kind session.Trench, which ends at logout, and
// with it they do. docs/compat.md is the manual, with all that differs from the
// original.
package trench

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/drf"
)

// DefaultPrefix is where projects mount it.
const DefaultPrefix = "/auth"

// Options configure the facade. Rooms and Common.Realm are required.
type Options struct {
	compat.Rooms
	compat.Common
	Prefix  string         // an absolute path without a slash at its end; "": DefaultPrefix
	Dialect compat.Dialect // "": 0.3
	// SMS is what clients call codes by SMS: sms_twilio or sms_api, by who sends them;
	// "": sms_twilio. A key of the realm's method_labels says otherwise.
	SMS string
}

// Facade is the handler. It holds no state and is safe for concurrent use.
type Facade struct {
	compat.Rooms
	gate   *compat.Gate
	realm  string
	prefix string
	old    bool // dialect 0.2
	sms    string
	tokens *tokens
	log    *slog.Logger
}

var _ compat.Facade = (*Facade)(nil)

// New returns the facade. Errors: a sentence for a mistake of the configuration.
func New(o Options) (*Facade, error) {
	realm, err := principal.CanonicalRealm(o.Realm)
	if err != nil {
		return nil, fmt.Errorf("compat.trench: realm: %w", err)
	}
	f := &Facade{Rooms: o.Rooms, gate: compat.NewGate(o.Rooms, o.Common), realm: realm, prefix: o.Prefix, sms: cmp.Or(o.SMS, defaultSMS), log: o.Logger}
	if f.prefix == "" {
		f.prefix = DefaultPrefix
	}
	if !compat.CleanPrefix(f.prefix) {
		return nil, errors.New("compat.trench: prefix is a path such as /auth, without a slash at its end, that nothing of ours has")
	}
	switch o.Dialect {
	case compat.Dialect02:
		f.old = true
	case compat.Dialect03, "":
	default:
		return nil, errors.New("compat.trench: dialect is 0.2 or 0.3")
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.tokens, err = newTokens(o.Derive, o.Clock)
	return f, err
}

// Owns reports whether a path is below the prefix.
func (f *Facade) Owns(path string) bool {
	rest, found := strings.CutPrefix(path, f.prefix)
	return found && (rest == "" || rest[0] == '/')
}

// call is one request on its way.
type call struct {
	r      *http.Request
	route  *route
	method string // of the path: what it calls a second factor
	names  names
	client login.Client
	body   []byte

	scheme    scheme
	live      session.Live // whose call it is, where the route is protected
	enrolling string       // the ephemeral token of somebody who must set up a factor first
	state     *login.State // of enrolling
}

// ServeHTTP answers one call.
func (f *Facade) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.gate.CORS(w, r) {
		return
	}
	f.serve(w, r).write(w)
}

// serve goes the original's way: the path, who is calling, the method, the body.
func (f *Facade) serve(w http.ResponseWriter, r *http.Request) *answer {
	c := &call{r: r}
	c.route, c.method = f.find(r.URL.Path)
	var needs compat.Call
	if c.route != nil && c.route.who != anyone {
		needs.Authorization = true
	}
	client, refused := f.gate.Admit(r, needs)
	if refused != nil {
		return refusal(refused)
	}
	c.client = client
	var err error
	if c.names, err = f.namesOf(r.Context()); err != nil {
		return f.of(c, err)
	}
	if c.route == nil {
		return f.astray(r, c.names)
	}
	if f.unlisted(c.names, c.method) {
		return noPath()
	}
	if a := f.identify(c); a != nil {
		return a
	}
	if a := c.route.allows(r.Method); a != nil {
		return a
	}
	body, unread := drf.ReadBody(w, r)
	if unread != nil {
		return refusedBody(unread)
	}
	c.body = body
	a, err := c.route.handle(f, c)
	if err != nil {
		return f.of(c, err)
	}
	return a
}
