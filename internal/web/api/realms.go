package api

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// RealmSettings is what a realm demands. A field that is left out has the
// server's default.
type RealmSettings struct {
	Factors       *int          `json:"factors,omitempty" minimum:"1" maximum:"2" doc:"Factors of a full login."`
	Methods       []string      `json:"methods,omitempty" maxItems:"16" maxLength:"32" doc:"Second factors that people may set up: totp, passkey, email, sms, yubikey, recovery_code, and the installation's own ones. None: totp and passkey."`
	Enrollment    string        `json:"enrollment,omitempty" enum:"first-login,invitation,off,open" doc:"open: at any time, where factors is 1."`
	OTP           *OTPSettings  `json:"otp,omitempty"`
	Skew          *int          `json:"skew,omitempty" minimum:"0" maximum:"10" doc:"Steps that are accepted on either side of now."`
	RecoveryCodes *CodeSettings `json:"recovery_codes,omitempty"`
	Session       *SessionLives `json:"session,omitempty"`
	Replay        string        `json:"replay,omitempty" enum:"deny,allow"`
	Names         string        `json:"names,omitempty" enum:"precis,exact" doc:"exact: letter for letter. It stays while the realm has members."`
	SecretLength  *int          `json:"secret_length,omitempty" minimum:"32" maximum:"128" doc:"Base32 characters of a new authenticator's seed."`
	Issuer        string        `json:"issuer,omitempty" maxLength:"64" doc:"What authenticator apps show."`

	CodeLife        map[string]int64      `json:"code_life,omitempty" doc:"How long codes that are sent are good, in seconds, by method; default 600."`
	TrustedBrowsers *int64                `json:"trusted_browsers,omitempty" minimum:"0" maximum:"31622400" doc:"Seconds that a browser stays trusted; default 2592000. 0: not offered."`
	Registration    *RegistrationSettings `json:"registration,omitempty" doc:"People make their own accounts; left out: nobody does. Not for realms with capabilities."`

	MethodLabels      map[string]string `json:"method_labels,omitempty" doc:"What methods are called towards clients of compat.trench."`
	ConfirmDisable    *bool             `json:"confirm_disable,omitempty" doc:"compat.trench: a code is needed to switch a method off."`
	ConfirmRegenerate *bool             `json:"confirm_regenerate,omitempty" doc:"compat.trench: a code is needed for new recovery codes."`
	AllowRegenerate   *bool             `json:"allow_regenerate,omitempty" doc:"People may make themselves new recovery codes."`

	Capabilities *[]RealmGrants `json:"capabilities,omitempty" maxItems:"16" doc:"What members may do to others. Left out in PUT: they stay."`
}

// RegistrationSettings say who may make an account.
type RegistrationSettings struct {
	Domains []string `json:"domains" nullable:"false" maxItems:"64" doc:"Whoever reads an address of these; none: of any."`
}

// OTPSettings are those of new authenticators.
type OTPSettings struct {
	Algorithm string `json:"algorithm" enum:"SHA1,SHA256,SHA512"`
	Digits    int    `json:"digits" enum:"6,8"`
	Period    int    `json:"period" minimum:"15" maximum:"300" doc:"Seconds."`
}

// CodeSettings are those of recovery codes.
type CodeSettings struct {
	Count    int    `json:"count" minimum:"1" maximum:"100"`
	Length   int    `json:"length" minimum:"6" maximum:"64"`
	Alphabet string `json:"alphabet" maxLength:"128" doc:"ASCII letters and digits, each once. Case is ignored when codes are typed."`
	Plain    bool   `json:"plain,omitempty" doc:"Print codes without hyphens."`
}

// SessionLives are seconds.
type SessionLives struct {
	Idle     int64 `json:"idle" minimum:"60" maximum:"31622400"`
	Absolute int64 `json:"absolute" minimum:"60" maximum:"31622400"`
	Remember int64 `json:"remember" minimum:"0" maximum:"31622400" doc:"0: not offered."`
}

// RealmGrants is one capability of a realm's members.
type RealmGrants struct {
	Capability string   `json:"capability" enum:"authenticate,create,delete,list,update"`
	Realms     []string `json:"realms,omitempty" maxItems:"64" doc:"Over these realms; none: over all."`
}

// Realm is a realm with all that holds for it.
type Realm struct {
	Realm   string `json:"realm"`
	Default bool   `json:"default" doc:"Where a login without a realm looks."`
	RealmSettings
}

type realmOutput struct {
	ETag string `header:"ETag"`
	Body Realm
}

func (a *API) realmAnswer(r account.Realm) *realmOutput {
	return &realmOutput{ETag: realmTag(r), Body: a.realmOf(r)}
}

// realmTag also tells apart two realms that had one name after each other.
func realmTag(r account.Realm) string {
	return tag(r.Version, r.CreatedAt.UTC().Format(time.RFC3339Nano))
}

// realmHolds decides the caller's conditions over a realm that may be missing.
func (a *API) realmHolds(tx store.Tx, c *caller, name string) error {
	r, err := a.Directory.Stored(tx, name)
	if errors.Is(err, account.ErrUnknownRealm) {
		return c.holds("")
	}
	if err != nil {
		return err
	}
	return c.holds(realmTag(r))
}

// RealmList is all realms.
type RealmList struct {
	Realms []Realm `json:"realms" nullable:"false"`
}

type realmListOutput struct {
	Body RealmList
}

func (a *API) realmOf(r account.Realm) Realm {
	grants := make([]RealmGrants, 0, len(r.Grants))
	for _, g := range r.Grants {
		grants = append(grants, RealmGrants{Capability: string(g.Capability), Realms: g.Realms})
	}
	out := Realm{Realm: r.Name, Default: r.Name == a.Directory.DefaultRealm(), RealmSettings: RealmSettings{
		Factors: r.Factors, Methods: r.Methods, Enrollment: r.Enrollment, Skew: r.Skew,
		Replay: r.Replay, Names: r.Names, Capabilities: &grants,
		SecretLength: r.SecretLength, Issuer: r.Issuer, MethodLabels: r.MethodLabels,
		ConfirmDisable: r.ConfirmDisable, ConfirmRegenerate: r.ConfirmRegenerate, AllowRegenerate: r.AllowRegenerate,
	}}
	for method, life := range r.CodeLife {
		if out.CodeLife == nil {
			out.CodeLife = map[string]int64{}
		}
		out.CodeLife[method] = int64(life / time.Second)
	}
	if t := r.TrustedBrowsers; t != nil {
		out.TrustedBrowsers = new(int64(*t / time.Second))
	}
	if g := r.Registration; g != nil {
		out.Registration = &RegistrationSettings{Domains: list(g.Domains)}
	}
	if p := r.OTP; p != nil {
		out.OTP = &OTPSettings{Algorithm: string(p.Algorithm), Digits: p.Digits, Period: p.Period}
	}
	if c := r.RecoveryCodes; c != nil {
		out.RecoveryCodes = &CodeSettings{Count: c.Count, Length: c.Length, Alphabet: c.Alphabet, Plain: c.Plain}
	}
	if l := r.Session; l != nil {
		out.Session = &SessionLives{Idle: int64(l.Idle / time.Second), Absolute: int64(l.Absolute / time.Second), Remember: int64(l.Remember / time.Second)}
	}
	return out
}

// settings is the same for the account room.
func (s *RealmSettings) settings() account.Settings {
	out := account.Settings{Factors: s.Factors, Methods: s.Methods, Enrollment: s.Enrollment, Skew: s.Skew, Replay: s.Replay, Names: s.Names,
		SecretLength: s.SecretLength, Issuer: s.Issuer, MethodLabels: s.MethodLabels,
		ConfirmDisable: s.ConfirmDisable, ConfirmRegenerate: s.ConfirmRegenerate, AllowRegenerate: s.AllowRegenerate}
	for method, life := range s.CodeLife {
		if out.CodeLife == nil {
			out.CodeLife = map[string]time.Duration{}
		}
		out.CodeLife[method] = time.Duration(min(max(life, 0), maxSeconds)) * time.Second
	}
	if t := s.TrustedBrowsers; t != nil {
		out.TrustedBrowsers = new(time.Duration(min(max(*t, 0), maxSeconds)) * time.Second)
	}
	if g := s.Registration; g != nil {
		out.Registration = &account.Registration{Domains: append([]string(nil), g.Domains...)}
	}
	if p := s.OTP; p != nil {
		out.OTP = &otp.Params{Algorithm: otp.Algorithm(p.Algorithm), Digits: p.Digits, Period: p.Period}
	}
	if c := s.RecoveryCodes; c != nil {
		out.RecoveryCodes = &account.RecoverySettings{Count: c.Count, Length: c.Length, Alphabet: c.Alphabet, Plain: c.Plain}
	}
	if l := s.Session; l != nil {
		out.Session = &account.Lifetimes{Idle: time.Duration(l.Idle) * time.Second, Absolute: time.Duration(l.Absolute) * time.Second, Remember: time.Duration(l.Remember) * time.Second}
	}
	return out
}

func (s *RealmSettings) grants() *[]account.Grant {
	if s.Capabilities == nil {
		return nil
	}
	grants := make([]account.Grant, 0, len(*s.Capabilities))
	for _, g := range *s.Capabilities {
		grants = append(grants, account.Grant{Capability: account.Capability(g.Capability), Realms: g.Realms})
	}
	return &grants
}

// listRealms shows those that the caller may list.
func (a *API) listRealms(ctx context.Context, c *caller, _ *struct{}) (*realmListOutput, error) {
	out := &realmListOutput{Body: RealmList{Realms: []Realm{}}}
	refused := error(nil)
	err := a.Store.View(ctx, func(tx store.Tx) error {
		realms, err := a.Directory.Realms(tx)
		if err != nil {
			return err
		}
		for _, r := range realms {
			if err := a.mayOver(tx, c, account.List, r.Name); err != nil {
				refused = err
				continue
			}
			out.Body.Realms = append(out.Body.Realms, a.realmOf(r))
		}
		return nil
	})
	if err == nil && len(out.Body.Realms) == 0 {
		err = refused
	}
	return out, err
}

// RealmPath names a realm in the path, in any spelling.
type RealmPath struct {
	Realm string `path:"realm" maxLength:"512"`
}

type showRealmInput struct {
	RealmPath
	Stored bool `query:"stored" doc:"Only what was set here: without defaults and configuration."`
}

func (a *API) showRealm(ctx context.Context, c *caller, in *showRealmInput) (*realmOutput, error) {
	name, err := realmFilter(in.Realm)
	if err != nil {
		return nil, err
	}
	var out *realmOutput
	err = a.Store.View(ctx, func(tx store.Tx) error {
		if err := a.mayOver(tx, c, account.List, name); err != nil {
			return err
		}
		r, err := a.Directory.Realm(tx, name)
		if in.Stored && err == nil {
			r, err = a.Directory.Stored(tx, name)
		}
		if err != nil {
			return err
		}
		out = a.realmAnswer(r)
		return nil
	})
	return out, err
}

type setRealmInput struct {
	RealmPath
	Body RealmSettings
}

func (a *API) setRealm(ctx context.Context, c *caller, in *setRealmInput) (*realmOutput, error) {
	name, err := principal.CanonicalRealm(in.Realm)
	if err != nil {
		return nil, err
	}
	if err := a.usable(in.Body.Methods); err != nil {
		return nil, err
	}
	var out *realmOutput
	err = a.Store.Update(ctx, func(tx store.Tx) error {
		held := a.realmHolds(tx, c, name)
		r, err := a.Directory.SetRealm(tx, c.actor(), name, in.Body.settings(), in.Body.grants(), 0)
		// A condition that fails is an answer for those alone who may do it (RFC 9110 section 13.2.1).
		if err = cmp.Or(err, held); err != nil {
			return err
		}
		out = a.realmAnswer(r)
		return nil
	})
	return out, err
}

// maxSeconds bounds a time of the wire before it becomes a duration: some thirty years.
const maxSeconds = 1e9

// usable refuses methods of which none can be had here: nobody could have a second factor.
func (a *API) usable(methods []string) error {
	available := len(methods) == 0
	for _, m := range methods {
		available = available || a.Factors.Available(factor.Name(m))
	}
	if !available {
		return invalid("body.methods", "none of these can be had here, so nobody could have a second factor: totp is expected among them, or a method whose codes this server can send")
	}
	return nil
}

func (a *API) deleteRealm(ctx context.Context, c *caller, in *RealmPath) (*struct{}, error) {
	name, err := realmFilter(in.Realm)
	if err != nil {
		return nil, err
	}
	return nil, a.Store.Update(ctx, func(tx store.Tx) error {
		held := a.realmHolds(tx, c, name)
		return cmp.Or(a.Directory.DeleteRealm(tx, c.actor(), name), held)
	})
}
