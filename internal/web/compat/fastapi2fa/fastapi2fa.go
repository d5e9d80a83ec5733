// Package fastapi2fa speaks the wire format of fastapi_2fa, /api/v1/*: signup, login
// by address and password, a second step by code or backup token, and JWTs that
// refresh each other.
//
//	POST auth/login ─┬─ no factor ── 200 access + refresh
//	                 └─ a factor ─── 202 pre-tfa token ─┐
//	POST tfa/login_tfa, tfa/recover_tfa ────────────────┘ 200 access + refresh
//
// Rooms decide; what is here reads requests as FastAPI 0.87 with pydantic 1 read them
// and writes answers as they did. Deliberate exceptions stand in docs/compat.md.
package fastapi2fa

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// prefix is where everything stands.
const prefix = "/api/v1"

// maxBody bounds a body, in bytes.
const maxBody = 64 << 10

// Options configure a Facade.
type Options struct {
	compat.Rooms
	compat.Common
	// Signup opens signup beyond this host, to pages of this origin and of CORS too,
	// and users/* and tasks/* to the service of Require. Default false.
	Signup   bool
	Messages Messages // nil: no mail is sent
}

// Facade is the handler. It is safe for concurrent use.
type Facade struct {
	o                       Options
	gate                    *compat.Gate
	log                     *slog.Logger
	access, refresh, preTFA *compat.Signer
	actor                   account.Actor
}

// New returns a Facade. Errors: the realm is missing.
func New(o Options) (*Facade, error) {
	if o.Realm == "" {
		return nil, errors.New("fastapi2fa: a realm is needed")
	}
	f := &Facade{o: o, gate: compat.NewGate(o.Rooms, o.Common), log: o.Logger}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.access = compat.NewSigner(o.Derive("compat fastapi2fa access"), o.Clock)
	f.refresh = compat.NewSigner(o.Derive("compat fastapi2fa refresh"), o.Clock)
	f.preTFA = compat.NewSigner(o.Derive("compat fastapi2fa pre-tfa"), o.Clock)
	f.actor = account.Facade("fastapi2fa",
		account.Grant{Capability: account.Create, Realms: []string{o.Realm}},
		account.Grant{Capability: account.Update, Realms: []string{o.Realm}})
	return f, nil
}

// Owns implements compat.Facade.
func (f *Facade) Owns(path string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// exchange is one request and its answer.
type exchange struct {
	*Facade
	w      http.ResponseWriter
	r      *http.Request
	route  *route
	client login.Client
	body   []byte
}

// ServeHTTP implements http.Handler.
func (f *Facade) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.gate.CORS(w, r) {
		return
	}
	x := &exchange{Facade: f, w: w, r: r}
	if err := x.serve(); err != nil {
		x.fail(err)
	}
}

func (x *exchange) serve() error {
	path := x.r.URL.EscapedPath()
	x.route = routeOf(path)
	slashless := strings.TrimRight(path, "/")
	redirect := x.route == nil && slashless != path && routeOf(slashless) != nil
	if redirect {
		x.route = routeOf(slashless)
	}
	if err := x.admit(); err != nil {
		return err
	}
	switch {
	case x.route == nil:
		return detail(http.StatusNotFound, "Not Found")
	case redirect:
		x.redirect(slashless)
		return nil
	case !x.route.answers(x.r.Method):
		x.w.Header().Set("Allow", x.route.allow())
		return detail(http.StatusMethodNotAllowed, "Method Not Allowed")
	}
	if err := x.readBody(); err != nil {
		return err
	}
	return x.route.handle(x)
}

func (x *exchange) readBody() error {
	body, err := web.ReadBody(x.w, x.r, maxBody)
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return detail(http.StatusRequestEntityTooLarge, "Request Entity Too Large")
	}
	if err != nil {
		return errBody()
	}
	x.body = body
	return nil
}
