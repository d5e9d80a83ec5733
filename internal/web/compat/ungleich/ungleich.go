// Package ungleich speaks the wire formats of ungleich-otp, so that its clients go on
// working. There were four ages of it: A and B are those of its two documents (/verify,
// /register, /app…), C is its server 0.5 and 0.6, and D what later clients send
// (both /ungleichotp/…).
//
// Who calls and who is asked about are services, name@realm. Every call proves itself
// in its body, with a token of the caller's own. The services of two realms have
// capabilities here, and only here: those of AdminRealm all of them, those of
// AuthRealm the one to ask about others. Applications of the ages A and B are services
// of AppRealm, named by a UUID.
package ungleich

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// facadeName stands in events, and in the records of what is created here.
const facadeName = "ungleich"

// defaultSkew is the window of the original: three steps on either side.
const defaultSkew = 3

// Options of a Facade.
type Options struct {
	compat.Rooms
	compat.Common
	AdminRealm string // "": ungleich-admin
	AuthRealm  string // "": ungleich-auth
	AppRealm   string // "": ungleich-apps

	// Closed reports whether members of a realm pass a rule of the gateway's, or are
	// another facade's: there it makes nothing, and touches what came through it alone.
	// nil: none is.
	Closed func(realm string) bool

	// ShowSeeds lets lists, entries and /app/{uuid} show seeds.
	ShowSeeds bool
	// Replay says whether a token that was verified may be verified again:
	// account.ReplayAllow (also "") or ReplayDeny.
	Replay string
	// Skew is how many steps of a verified token are accepted on either side of now;
	// nil: 3. Callers' own tokens follow their realm's setting.
	Skew *int
}

// Facade is the handler. It is safe for concurrent use.
type Facade struct {
	rooms     compat.Rooms
	gate      *compat.Gate
	log       *slog.Logger
	admin     string
	auth      string
	apps      string
	showSeeds bool
	rules     login.FacadeRules
	closed    func(realm string) bool
}

// New returns a Facade, or what is wrong in the options.
func New(o Options) (*Facade, error) {
	f := &Facade{
		rooms: o.Rooms, gate: compat.NewGate(o.Rooms, o.Common), log: o.Logger, showSeeds: o.ShowSeeds,
		admin: cmp.Or(o.AdminRealm, "ungleich-admin"), auth: cmp.Or(o.AuthRealm, "ungleich-auth"), apps: cmp.Or(o.AppRealm, "ungleich-apps"),
		closed: o.Closed,
		rules:  login.FacadeRules{Replay: cmp.Or(o.Replay, account.ReplayAllow), Skew: defaultSkew},
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if o.Skew != nil {
		f.rules.Skew = *o.Skew
	}
	switch {
	case o.Store == nil || o.Directory == nil || o.Programs == nil || o.Audit == nil || o.Client == nil || o.Clock == nil:
		return nil, errors.New("compat.ungleich: a room is missing")
	case f.rules.Replay != account.ReplayAllow && f.rules.Replay != account.ReplayDeny:
		return nil, errors.New("compat.ungleich: replay is allow or deny")
	case f.rules.Skew < 0 || f.rules.Skew > otp.MaxSkew:
		return nil, fmt.Errorf("compat.ungleich: skew is 0 to %d steps, not %d", otp.MaxSkew, f.rules.Skew)
	case f.admin == f.auth || f.admin == f.apps || f.auth == f.apps:
		return nil, errors.New("compat.ungleich: admin_realm, auth_realm and app_realm are three realms")
	}
	for _, realm := range f.own() {
		if c, err := principal.CanonicalRealm(realm); err != nil || c != realm {
			return nil, fmt.Errorf("compat.ungleich: %.64q is no realm in its one spelling", realm)
		}
	}
	return f, nil
}

// own are the realms of the facade.
func (f *Facade) own() []string { return []string{f.admin, f.auth, f.apps} }

// Owns reports whether a raw path is one of ungleich-otp's. The admin pages of the
// original (/admin/, /api-auth/) are not.
func (f *Facade) Owns(path string) bool {
	for _, one := range []string{"/verify", "/register", "/app", "/ungleichotp"} {
		if rest, ok := strings.CutPrefix(path, one); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// ServeHTTP answers one request.
func (f *Facade) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.gate.CORS(w, r) {
		return
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	form := formOf(path)
	client, refused := f.gate.Admit(r, compat.Call{Loopback: true, Programs: true}) // who calls says so in the body
	if refused != nil {
		form.refuse(w, &refusal{status: refused.Status, text: refused.Text, wait: refused.Wait, challenge: refused.Challenge})
		return
	}
	f.route(w, r, form, path, query, client)
}
