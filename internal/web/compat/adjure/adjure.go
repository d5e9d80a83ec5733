// Package adjure speaks the wire format of Adjure, a small service for two-factor
// authentication that an application asks for itself: it makes users, shows their
// QR codes and judges their codes. Nobody logs in here and nothing is opened; who may
// call is decided by the gate alone, because the original authenticates nobody.
//
//	POST /user/provision               a user with an authenticator and recovery codes
//	GET  /user/qrcode                  the authenticator's QR code, until its first good code
//	GET  /user/auth_code               the code of this moment: only with code_oracle
//	POST /user/authenticate            is this code good? It burns
//	POST /user/recovery/authenticate   is this recovery code good? It burns
//	POST /user/recovery/regenerate     a new set of recovery codes
//	GET  /healthcheck                  does the store answer?
//
// A user_id is the name of a user of the facade's realm, letter for letter where the
// realm's names are exact. docs/compat.md says what differs from the original.
package adjure

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// Options configure a Facade.
type Options struct {
	compat.Rooms
	compat.Common

	// CodeOracle lets callers read the code of a moment, and a seed again after its
	// first good code.
	CodeOracle bool
}

// Facade is Adjure's face. It holds no state and is safe for concurrent use.
type Facade struct {
	Options
	gate *compat.Gate
	log  *slog.Logger
}

// name is the facade's word in the configuration and in events.
const name = "adjure"

// New returns a Facade. Errors: the realm can be none.
func New(o Options) (*Facade, error) {
	realm, err := principal.CanonicalRealm(o.Realm)
	if err != nil {
		return nil, fmt.Errorf("compat.adjure: realm: %w", err)
	}
	if realm != o.Realm {
		return nil, errors.New("compat.adjure: realm: its one spelling is expected, in small letters")
	}
	f := &Facade{Options: o, gate: compat.NewGate(o.Rooms, o.Common), log: o.Logger}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f, nil
}

// Owns takes all below /user, so that what the original does not know is answered as
// it answers that, and the health check.
func (f *Facade) Owns(path string) bool {
	switch path {
	case "/user", "/healthcheck", "/healthcheck/":
		return true
	}
	return strings.HasPrefix(path, "/user/")
}

// route is one endpoint.
type route struct {
	method string // GET answers HEAD too
	code   string // error_code of what its rooms refuse
	serve  func(*Facade, *call) error
}

// call is one request that was let in.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	client login.Client
}

// routes are the endpoints by decoded path, as the original finds them. A trailing
// slash is another path.
func (f *Facade) route(path string) (route, bool) {
	switch path {
	case "/user/provision":
		return route{http.MethodPost, provisionFailure, (*Facade).provision}, true
	case "/user/auth_code":
		return route{http.MethodGet, userNotFound, (*Facade).authCode}, true
	case "/user/authenticate":
		return route{http.MethodPost, validationFailure, (*Facade).authenticate}, true
	case "/user/recovery/authenticate":
		return route{http.MethodPost, invalidRecoveryCode, (*Facade).recoveryAuthenticate}, true
	case "/user/recovery/regenerate":
		return route{http.MethodPost, userNotFound, (*Facade).regenerate}, true
	case "/user/qrcode":
		return route{http.MethodGet, invalidParams, (*Facade).qrcode}, true
	case "/healthcheck":
		return route{http.MethodGet, unavailable, (*Facade).healthcheck}, true
	}
	return route{}, false
}

// allow is the header Allow of an endpoint.
func (r route) allow() string {
	if r.method == http.MethodGet {
		return "GET, HEAD, OPTIONS"
	}
	return "OPTIONS, POST"
}

func (r route) takes(method string) bool {
	return method == r.method || method == http.MethodHead && r.method == http.MethodGet
}

// ServeHTTP asks the gate, then finds the endpoint.
func (f *Facade) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.gate.CORS(w, r) {
		return
	}
	client, refused := f.gate.Admit(r, compat.Call{Open: true, Loopback: true})
	if refused != nil {
		turnAway(w, refused)
		return
	}
	found, ok := f.route(r.URL.Path)
	switch {
	case !ok:
		notFound.write(w)
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", found.allow())
		w.Header().Set("Content-Type", htmlUTF8)
		w.WriteHeader(http.StatusOK)
	case !found.takes(r.Method):
		w.Header().Set("Allow", found.allow())
		wrongMethod.write(w)
	default:
		if err := found.serve(f, &call{w: w, r: r, client: client}); err != nil {
			f.fail(w, r, found.code, err)
		}
	}
}

// actor is the facade, as what it changes is recorded. Its grants end at its realm.
func (f *Facade) actor(c *call) account.Actor {
	only := []string{f.Realm}
	return account.Facade(name,
		account.Grant{Capability: account.Authenticate, Realms: only},
		account.Grant{Capability: account.Create, Realms: only},
		account.Grant{Capability: account.Update, Realms: only},
	).From(c.client.Addr, "")
}
