package gateway

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// Config is the one configuration of both shells: YAML for the standalone
// server, JSON or a Caddyfile for Caddy. The zero value guards nothing and
// admits nobody. Strings may hold {env.NAME} and {file.PATH}.
type Config struct {
	// Listen is where the standalone server answers: host:port, or unix:PATH
	// (mode 0660; whoever may connect is a trusted proxy). Default
	// 127.0.0.1:9091.
	Listen string `json:"listen,omitempty"`

	// Upstream makes the standalone server a reverse proxy for one site: an
	// http:// or https:// URL without a path.
	Upstream string `json:"upstream,omitempty"`

	// Name is what pages and authenticator apps call this installation.
	// At most 64 characters. Default: Sallyport.
	Name string `json:"name,omitempty"`

	// Logo is the path of a picture that stands beside the name on every page:
	// SVG, PNG, JPEG or WebP, at most 256 KiB, read at the start and at a
	// reload. Default: our own.
	Logo string `json:"logo,omitempty"`

	// Portal is the origin of the login pages, such as https://auth.example.com.
	// Without one each guarded host has pages of its own below /sallyport/, and
	// invitations are off, because a link needs an address to point to.
	Portal string `json:"portal,omitempty"`

	// CookieDomain shares a login among all hosts below a domain: a domain, or
	// a list of {domain, portal}. Needs a portal below the domain.
	CookieDomain CookieDomains `json:"cookie_domain,omitempty"`

	// Ports are those that guarded hosts have besides their scheme's default and
	// the portal's own: a login may send a browser back to them.
	Ports []int `json:"ports,omitempty"`

	// TrustedProxies are the networks whose forwarding headers count. Default:
	// loopback peers and the unix socket of Listen; with an upstream nobody.
	TrustedProxies []string `json:"trusted_proxies,omitempty"`

	// Storage names the state: badger:DIRECTORY, or a PostgreSQL database:
	// postgres://USER:PASSWORD@HOST/DATABASE, also written postgres:URL. Default:
	// the state directory. A database needs a MasterKey, and no directory at all.
	Storage string `json:"storage,omitempty"`

	// MasterKey seals everything at rest: 32 bytes in base64 or hex, usually
	// {file.PATH}. Default: master.key in the state directory, made when the
	// store is empty. A database has no default: all its servers share the key.
	MasterKey string `json:"master_key,omitempty"`

	// Metrics is where the standalone server answers GET /metrics for
	// Prometheus, on a listener of its own: host:port, or unix:PATH. Whoever
	// reaches it reads all counters. Default: nowhere.
	Metrics string `json:"metrics,omitempty"`

	// DefaultRealm is where a bare name is looked for. Default: users.
	DefaultRealm string `json:"default_realm,omitempty"`

	// Mail is who sends mail, and as whom:
	// "smtp://USER:PASSWORD@HOST:PORT NAME <ADDRESS>". smtp:// uses STARTTLS where
	// offered, and demands it unless HOST is loopback; smtps:// is TLS from the
	// start. log writes mail to the log instead. Default: no mail is sent.
	Mail string `json:"mail,omitempty"`

	// SMS is who sends short messages: twilio, smsapi, or log. Default: nobody.
	SMS *SMS `json:"sms,omitempty"`

	// Methods are own ways to reach people, by name.
	Methods map[string]Method `json:"methods,omitempty"`

	// YubiKey is who judges YubiKeys whose secrets are not registered here. Default:
	// nobody.
	YubiKey *YubiKey `json:"yubikey,omitempty"`

	// Templates is a directory of texts that take the place of the built-in ones,
	// such as login_code.txt. Read at the start and at a reload.
	Templates string `json:"templates,omitempty"`

	Throttle  Throttle         `json:"throttle,omitzero"`
	Session   Session          `json:"session,omitzero"`
	Passwords Passwords        `json:"passwords,omitzero"`
	CORS      CORS             `json:"cors,omitzero"`
	Log       Log              `json:"log,omitzero"`
	Realms    map[string]Realm `json:"realms,omitempty"`

	// Rules: the first that matches decides; none: deny. With an upstream and
	// no rules there is one: realms users and admin, two factors, every host.
	Rules []guard.Rule `json:"rules,omitempty"`

	// Credentials says which proofs /api/authz/* takes: cookie (default), or
	// all, for proxies whose snippet strips what is ours.
	Credentials string `json:"credentials,omitempty"`

	// Compat switches the facades on that speak the wire formats of older systems.
	Compat compat.Config `json:"compat,omitzero"`

	file     string
	lines    map[string]int
	inserted inserted
}

// Throttle holds the limits on wrong tries and on messages. A pointer that is nil
// means the default; 0 switches one off.
type Throttle struct {
	Principal *int      `json:"principal,omitempty"` // wrong tries without delay; default 5
	Network   *int      `json:"network,omitempty"`   // wrong tries per network and window; default 30
	Window    *Duration `json:"window,omitempty"`    // default 15m
	Delay     *Duration `json:"delay,omitempty"`     // first delay, doubling; default 1s
	DelayMax  *Duration `json:"delay_max,omitempty"` // default 15m
	Closed    *int      `json:"closed,omitempty"`    // wrong codes that close a place; default 50

	Sends        *int      `json:"sends,omitempty"`         // messages to a person per window; default 5
	NetworkSends *int      `json:"network_sends,omitempty"` // messages that a network causes per window; default 20
	SendWindow   *Duration `json:"send_window,omitempty"`   // default 15m
}

// Session holds the lives of sessions. Zero means the default: 8h, 168h, 720h.
type Session struct {
	Idle     Duration `json:"idle,omitempty"`
	Absolute Duration `json:"absolute,omitempty"`
	Remember Duration `json:"remember,omitempty"`
}

// Passwords holds what a new password must be and what a hashing may cost.
type Passwords struct {
	MinLength int    `json:"min_length,omitempty"` // characters; default 12, at least 8
	Hash      string `json:"hash,omitempty"`       // argon2id, the only one
	HashSlots int    `json:"hash_slots,omitempty"` // hashings at once; default cores − 1, at least 1
	Memory    int    `json:"memory,omitempty"`     // KiB of one hashing; default 19456 (OWASP)
	Time      int    `json:"time,omitempty"`       // passes; default 2
	Threads   int    `json:"threads,omitempty"`    // lanes; default 1
}

// CORS lists the foreign origins whose scripts may use the JSON API with a
// token (never with cookies). Exact origins; default none.
type CORS struct {
	AllowOrigins []string `json:"allow_origins,omitempty"`
}

// Log says how much is logged and in which form.
type Log struct {
	Level  string `json:"level,omitempty"`  // debug, info (default), warn, error
	Format string `json:"format,omitempty"` // text (default) or json
}

// Realm holds the settings of one realm. What stands here wins over what was
// set by `realm set`.
type Realm struct {
	Factors       *int           `json:"factors,omitempty"`    // 1 or 2; default 2
	Methods       []string       `json:"methods,omitempty"`    // second factors that count; default all
	Enrollment    string         `json:"enrollment,omitempty"` // first-login (default), invitation, off, open
	Replay        string         `json:"replay,omitempty"`     // deny (default) or allow: services' tokens
	OTP           *otp.Params    `json:"otp,omitempty"`        // what new authenticators get
	Skew          *int           `json:"skew,omitempty"`       // steps on either side; default 1
	RecoveryCodes *RecoveryCodes `json:"recovery_codes,omitempty"`
	Session       *Session       `json:"session,omitempty"`
	Registration  []string       `json:"registration,omitempty"` // domains of addresses whose readers make their own accounts; * is any; default nobody

	Names             string            `json:"names,omitempty"`              // precis (default) or exact: as they came, up to 128 bytes
	SecretLength      *int              `json:"secret_length,omitempty"`      // characters of new seeds, in base32
	Issuer            string            `json:"issuer,omitempty"`             // what apps show; default the installation's name
	ConfirmDisable    *bool             `json:"confirm_disable,omitempty"`    // whether a code is needed to remove a method
	ConfirmRegenerate *bool             `json:"confirm_regenerate,omitempty"` // and to make recovery codes anew
	AllowRegenerate   *bool             `json:"allow_regenerate,omitempty"`   // whether they may be made anew at all
	MethodLabels      map[string]string `json:"method_labels,omitempty"`      // what the clients of facades call a method

	// CodeLife is how long codes that are sent are good, by method; default 10m.
	CodeLife map[string]Duration `json:"code_life,omitempty"`
	// TrustedBrowsers is how long a browser stays trusted; default 720h, 0: not offered.
	TrustedBrowsers *Duration `json:"trusted_browsers,omitempty"`
}

// RecoveryCodes holds the form of recovery codes.
type RecoveryCodes struct {
	Count    int    `json:"count,omitempty"`    // default 10
	Length   int    `json:"length,omitempty"`   // characters; default 16
	Alphabet string `json:"alphabet,omitempty"` // a to z and digits, each once; plain: A to Z too
	Plain    *bool  `json:"plain,omitempty"`    // without hyphens, in their own case; default false
}

// CookieDomain is a domain whose hosts share a login, and the portal for it.
type CookieDomain struct {
	Domain string `json:"domain"`
	Portal string `json:"portal,omitempty"` // default: the configuration's portal
}

// CookieDomains reads a single domain or a list of {domain, portal}.
type CookieDomains []CookieDomain

// UnmarshalJSON reads both forms.
func (d *CookieDomains) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*d = CookieDomains{{Domain: one}}
		return nil
	}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.DisallowUnknownFields()
	var list []CookieDomain
	if err := dec.Decode(&list); err != nil {
		return fmt.Errorf("expected a domain, or a list of {domain, portal}")
	}
	*d = list
	return nil
}

// At returns a *ConfigError for a place in the file that the configuration was
// read from, such as "/rules/0".
func (c *Config) At(pointer, format string, args ...any) error {
	conv := converter{file: c.file, lines: c.lines}
	return &ConfigError{File: c.file, Line: conv.lineOf(pointer), Text: fmt.Sprintf(format, args...)}
}

// File names the file that the configuration was read from, or is empty.
func (c *Config) File() string { return c.file }

// settings are the fields that are set. Of a group of values (session,
// recovery_codes, otp) those that are left out are the defaults of the realm: ours,
// or of the facade that it belongs to.
func (r Realm) settings(realm string, base account.Lifetimes, facade account.Settings) account.Settings {
	s := account.Settings{
		Factors: r.Factors, Methods: r.Methods, Enrollment: r.Enrollment, Replay: r.Replay, OTP: r.OTP, Skew: r.Skew,
		Names: r.Names, SecretLength: r.SecretLength, Issuer: r.Issuer, MethodLabels: r.MethodLabels,
		ConfirmDisable: r.ConfirmDisable, ConfirmRegenerate: r.ConfirmRegenerate, AllowRegenerate: r.AllowRegenerate,
		Registration: registration(r.Registration),
	}
	if r.TrustedBrowsers != nil {
		s.TrustedBrowsers = new(r.TrustedBrowsers.std())
	}
	for method, life := range r.CodeLife {
		if s.CodeLife == nil {
			s.CodeLife = map[string]time.Duration{}
		}
		s.CodeLife[method] = life.std()
	}
	whole := account.DefaultSettings(realm)
	if r.RecoveryCodes != nil {
		codes := *cmp.Or(facade.RecoveryCodes, whole.RecoveryCodes)
		overlay(&codes.Count, r.RecoveryCodes.Count)
		overlay(&codes.Length, r.RecoveryCodes.Length)
		overlay(&codes.Alphabet, r.RecoveryCodes.Alphabet)
		if r.RecoveryCodes.Plain != nil {
			codes.Plain = *r.RecoveryCodes.Plain
		}
		s.RecoveryCodes = &codes
	}
	if r.Session != nil {
		if realm != account.AdminRealm {
			whole.Session = &base
		}
		l := r.Session.over(*whole.Session)
		s.Session = &l
	}
	if s.OTP != nil {
		p := *cmp.Or(facade.OTP, whole.OTP)
		overlay(&p.Algorithm, s.OTP.Algorithm)
		overlay(&p.Digits, s.OTP.Digits)
		overlay(&p.Period, s.OTP.Period)
		s.OTP = &p
	}
	return s
}

// registration reads domains; a * alone is all of them, and none is nobody.
func registration(domains []string) *account.Registration {
	switch {
	case len(domains) == 0:
		return nil
	case len(domains) == 1 && domains[0] == "*":
		return &account.Registration{}
	}
	return &account.Registration{Domains: domains}
}

// over returns base with the values that are set.
func (s Session) over(base account.Lifetimes) account.Lifetimes {
	overlay(&base.Idle, s.Idle.std())
	overlay(&base.Absolute, s.Absolute.std())
	overlay(&base.Remember, s.Remember.std())
	return base
}

func overlay[T comparable](to *T, from T) {
	var zero T
	if from != zero {
		*to = from
	}
}

// prefixes reads networks: a CIDR, or one address.
func prefixes(texts []string) ([]netip.Prefix, int, error) {
	var out []netip.Prefix
	for i, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
			out = append(out, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4In6() {
			return nil, i, fmt.Errorf("expected a network such as 10.0.0.0/8, or one address")
		}
		out = append(out, p.Masked())
	}
	return out, 0, nil
}
