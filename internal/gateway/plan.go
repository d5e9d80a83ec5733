package gateway

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/portal"
)

// Defaults that no room below owns.
const (
	DefaultListen   = "127.0.0.1:9091"
	minPassword     = 8 // no configuration may go below
	defaultPassword = 12
	maxName         = 64 // characters of an installation's name: a line on a page and in an app
)

// plan is a configuration that was understood: everything that can be known
// without opening anything.
type plan struct {
	realms     map[string]account.Settings
	base       account.Lifetimes
	rules      *guard.Rules
	written    []guard.Rule // in force, the implied one included
	trusted    web.Trusted
	upstream   *url.URL
	sites      []siteplan
	logo       []byte // of the pages; empty: our own
	throttle   throttle.Policy
	passwords  secret.PasswordPolicy
	hasher     secret.HasherOptions
	senders    map[string]sender // of messages, by method
	mailFrom   string            // the installation's own address
	templates  *notify.Templates
	yubikeys   factor.YubiKeys  // nil: keys that are registered here alone
	passkeys   *factor.Passkeys // nil: none are offered
	noPasskeys string           // what they need, where none are offered
	compat     compat.Config    // all defaults filled in
	facades    []facade         // in the order of the configuration's words
	warnings   []string
	hints      []string // what `check` adds: known only here, or known to everybody who runs on loopback
}

// siteplan is one portal and the cookie domain that it serves. The zero
// siteplan: each host has pages of its own.
type siteplan struct{ portal, domain string }

// LoadFor reads the configuration that a command line names; none: the zero
// Config, which the defaults complete.
func LoadFor(g command.Global) (Config, error) {
	if g.Config == "" {
		return Config{}, nil
	}
	return Load(g.Config)
}

// ListenAddress is where the standalone server answers.
func (c *Config) ListenAddress() string {
	if c.Listen == "" {
		return DefaultListen
	}
	return c.Listen
}

// Logger makes the logger that the configuration describes.
func (c *Config) Logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	switch c.Log.Level {
	case "", "info":
	case "debug":
		level = slog.LevelDebug
	case "warn":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	default:
		return nil, c.At("/log/level", "level: expected debug, info, warn or error")
	}
	o := &slog.HandlerOptions{Level: level}
	switch c.Log.Format {
	case "", "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, c.At("/log/format", "format: expected text or json")
}

// shell is what carries a configuration: the standalone server, which may have the
// demo page as its upstream, or a server with routes of its own (Caddy).
type shell struct{ demo, routes bool }

// plan understands a configuration.
func (c *Config) plan(s shell) (*plan, error) {
	p := &plan{}
	for _, step := range []func(*plan, shell) error{
		c.planStorage, c.planNetwork, c.planMetrics, c.planLog, c.planSites, c.planLook, c.planMessages, c.planYubiKeys, c.planPasskeys, c.planCompat, c.planRealms, c.planCompatRealms, c.planThrottle, c.planPasswords, c.planRules, c.planReach, c.planCompatRules, c.planRest,
	} {
		if err := step(p, s); err != nil {
			return nil, c.inserted.hide(err)
		}
	}
	p.warnings, p.hints = c.inserted.hideAll(p.warnings), c.inserted.hideAll(p.hints)
	return p, nil
}

// standaloneWords belong to a server that listens by itself.
func (c *Config) standaloneWords() error {
	for _, w := range []struct {
		name    string
		written bool
	}{{"listen", c.Listen != ""}, {"upstream", c.Upstream != ""}, {"log", c.Log != Log{}}, {"metrics", c.Metrics != ""}} {
		if w.written {
			return c.At("/"+w.name, "%s", NotForRoutes(w.name))
		}
	}
	return nil
}

func (c *Config) planNetwork(p *plan, s shell) error {
	if s.routes {
		return errors.Join(c.standaloneWords(), c.planTrusted(p, true, false))
	}
	demo := s.demo
	if err := command.ListenAddress(c.ListenAddress()); err != nil {
		return c.At("/listen", "listen: %v", err)
	}
	if !c.local() {
		p.warnings = append(p.warnings, "listen: other machines reach this address, and this server speaks no TLS: put a TLS proxy before it")
	}
	if c.Upstream != "" {
		u, err := command.UpstreamURL(c.Upstream)
		if err != nil {
			return c.At("/upstream", "upstream: %v", err)
		}
		if demo {
			return c.At("/upstream", "upstream: the demo page is the upstream: leave one of the two out")
		}
		p.upstream = u
	}
	return c.planTrusted(p, p.upstream != nil || demo, strings.HasPrefix(c.ListenAddress(), "unix:"))
}

// planTrusted says whose forwarding headers count. unix: there is a socket of ours.
func (c *Config) planTrusted(p *plan, proxying, unix bool) error {
	if c.TrustedProxies == nil {
		if !proxying { // with an upstream nobody is trusted who was not named
			p.trusted = web.Loopback()
			p.trusted.Unix = unix
		}
		return nil
	}
	networks, at, err := prefixes(c.TrustedProxies)
	if err != nil {
		return c.At(fmt.Sprintf("/trusted_proxies/%d", at), "trusted_proxies: %v", err)
	}
	for i, n := range networks {
		if n.Bits() == 0 {
			return c.At(fmt.Sprintf("/trusted_proxies/%d", i), "trusted_proxies: %s is everybody: then anybody could say who they are; name your proxies", n)
		}
	}
	p.trusted = web.Trusted{Prefixes: networks, Unix: unix}
	return nil
}

func (c *Config) planMetrics(p *plan, _ shell) error {
	if c.Metrics == "" {
		return nil
	}
	if command.ListenAddress(c.Metrics) != nil {
		return c.At("/metrics", "metrics: expected %s", bareNumbers["/metrics"])
	}
	if sameListener(c.Metrics, c.ListenAddress()) {
		return c.At("/metrics", "metrics: listen has this address already: the counters need one of their own, such as 127.0.0.1:9092")
	}
	if !local(c.Metrics) {
		p.warnings = append(p.warnings, "metrics: other machines reach this address, and whoever does reads the counters without a login: keep it on loopback, or let a firewall admit your Prometheus alone")
	}
	return nil
}

// planLog finds what would keep the server from starting.
func (c *Config) planLog(*plan, shell) error {
	_, err := c.Logger(io.Discard)
	return err
}

// sameListener tells whether two good addresses cannot both be listened on.
func sameListener(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if unix := strings.HasPrefix(a, "unix:"); unix || strings.HasPrefix(b, "unix:") || errA != nil || errB != nil {
		return a == b
	}
	numberA, _ := net.LookupPort("tcp", portA)
	numberB, _ := net.LookupPort("tcp", portB)
	if numberA != numberB || numberA == 0 { // 0: the kernel chooses two
		return false
	}
	if anywhere(hostA) || anywhere(hostB) || strings.EqualFold(hostA, hostB) {
		return true
	}
	ipA, errA := netip.ParseAddr(hostA)
	ipB, errB := netip.ParseAddr(hostB)
	if errA == nil && errB == nil {
		return ipA.Unmap() == ipB.Unmap()
	}
	return loopback(hostA) && loopback(hostB) // localhost is either
}

func anywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func (c *Config) planSites(p *plan, _ shell) error {
	if c.Portal != "" {
		if err := origin(c.Portal); err != nil {
			return c.At("/portal", "portal: %v", err)
		}
		if u, _ := url.Parse(c.Portal); u.Scheme == "http" && !loopback(u.Hostname()) {
			p.warnings = append(p.warnings, "portal: http is read and changed on the way: use https for anything but loopback")
		}
	}
	for i, port := range c.Ports {
		if port < 1 || port > 65535 {
			return c.At(fmt.Sprintf("/ports/%d", i), "ports: expected 1 to 65535")
		}
	}
	for i, d := range c.CookieDomain {
		at := fmt.Sprintf("/cookie_domain/%d", i)
		portal := d.Portal
		if portal == "" {
			portal = c.Portal
		}
		if portal == "" {
			return c.At(at, "cookie_domain: needs a portal below it, such as https://auth.%.200s", d.Domain)
		}
		if err := origin(portal); err != nil {
			return c.At(at, "cookie_domain: portal: %v", err)
		}
		host, err := guard.CanonicalHost(d.Domain)
		if err != nil || host != strings.ToLower(d.Domain) || !strings.Contains(host, ".") {
			return c.At(at, "cookie_domain: expected a domain such as example.com")
		}
		u, _ := url.Parse(portal)
		portalHost, _ := guard.CanonicalHost(u.Host)
		if portalHost != host && !strings.HasSuffix(portalHost, "."+host) {
			return c.At(at, "cookie_domain: the portal %.200s is not below %s, so no browser would take its cookie", portal, host)
		}
		p.sites = append(p.sites, siteplan{portal: asBrowsersSay(portal), domain: host})
	}
	if c.Portal != "" && len(p.sites) > 0 && !slices.ContainsFunc(p.sites, func(s siteplan) bool { return s.portal == asBrowsersSay(c.Portal) }) {
		return c.At("/portal", "portal: every cookie_domain names another portal, so this one would guard nothing: leave it out")
	}
	if len(p.sites) == 0 {
		p.sites = []siteplan{{portal: asBrowsersSay(c.Portal)}}
	}
	return nil
}

// planLook reads what operators put in the place of our name and icon.
func (c *Config) planLook(p *plan, _ shell) error {
	if utf8.RuneCountInString(c.Name) > maxName || strings.ContainsFunc(c.Name, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.TrimSpace(c.Name) != c.Name {
		return c.At("/name", "name: expected at most %d characters on one line, with no space at either end", maxName)
	}
	if c.Logo == "" {
		return nil
	}
	logo, err := readLogo(c.Logo)
	if err == nil {
		_, err = portal.LogoKind(logo)
	}
	if err != nil {
		return c.At("/logo", "logo: %v", err)
	}
	p.logo = logo
	return nil
}

// readLogo reads one byte more than a logo may have, so that who judges it sees
// that it is too large. Only files are read: a pipe would hold up the start.
func readLogo(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("expected the path of a file")
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, fmt.Errorf("the file cannot be read: %w", errors.Unwrap(err)) // without the path: errors hold no values
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, portal.MaxLogo+1))
}

// asBrowsersSay writes a valid origin as a browser does in Origin, which is
// compared with it letter for letter. None stays none.
func asBrowsersSay(portal string) string {
	u, err := url.Parse(portal)
	if err != nil {
		return ""
	}
	return web.OwnOrigin(u.Scheme, u.Host)
}

// origin demands scheme://host[:port] and nothing more.
func origin(text string) error {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("expected an origin such as https://auth.example.com")
	}
	if _, err := guard.CanonicalHost(u.Host); err != nil {
		return errors.New("expected an origin with a plain host name, such as https://auth.example.com")
	}
	return nil
}

func (c *Config) planRealms(p *plan, _ shell) error {
	p.base = c.Session.over(*account.DefaultSettings(account.DefaultRealm).Session)
	if err := (account.Settings{Session: &p.base}).Validate(account.DefaultRealm); err != nil {
		return c.At("/session", "%v", err)
	}
	if c.DefaultRealm != "" {
		if name, err := principal.CanonicalRealm(c.DefaultRealm); err != nil || name != c.DefaultRealm {
			return c.At("/default_realm", "default_realm: expected a realm's name in small letters")
		}
	}
	p.realms = map[string]account.Settings{}
	for _, name := range slices.Sorted(maps.Keys(c.Realms)) {
		at := "/realms/" + pointerEscape.Replace(name)
		if canonical, err := principal.CanonicalRealm(name); err != nil || canonical != name {
			return c.At(at, "realms: expected a realm's name in small letters, without dot, comma, @ or /")
		}
		facade := p.facadeRealm(name)
		settings := filled(c.Realms[name].settings(name, p.base, facade), facade)
		err := settings.Validate(name)
		if err == nil {
			err = settings.Registers(name)
		}
		if err != nil {
			if name == account.AdminRealm && settings.Factors != nil && *settings.Factors != 2 {
				return c.At(at+"/factors", "factors: administrators always need two factors")
			}
			field, _, _ := strings.Cut(strings.ReplaceAll(err.Error(), ":", " "), " ")
			return c.At(at+"/"+field, "realm %s: %v", name, err)
		}
		if err := c.planMethods(p, name, c.Realms[name].Methods); err != nil {
			return err
		}
		p.realms[name] = settings
	}
	return nil
}

// planMethods demands a second factor that can be had here, where any are named.
func (c *Config) planMethods(p *plan, realm string, methods []string) error {
	at := "/realms/" + pointerEscape.Replace(realm) + "/methods"
	available := 0
	for i, m := range methods {
		missing, known := c.missing(p, m)
		switch {
		case !known:
			return c.At(fmt.Sprintf("%s/%d", at, i), "methods: expected totp, passkey, email, sms, yubikey, recovery_code, or a name that stands under methods")
		case missing == "":
			available++
		default:
			p.warnings = append(p.warnings, fmt.Sprintf("realms: %s: the method %s needs %s, and is not offered", realm, m, missing))
		}
	}
	if len(methods) > 0 && available == 0 {
		return c.At(at, "methods: none of these can be had here, so nobody could have a second factor: name totp, or say what the others need (see docs/factors.md)")
	}
	return nil
}

// missing says what a method lacks in this configuration, "" for nothing, and whether
// there is such a method at all.
func (c *Config) missing(p *plan, method string) (missing string, known bool) {
	switch method {
	case "totp", "recovery_code", "yubikey":
		return "", true
	case "passkey":
		return p.noPasskeys, true
	case notify.Email, notify.SMS:
		if p.senders[method] == nil {
			return map[string]string{notify.Email: "mail", notify.SMS: "sms"}[method], true
		}
		return "", true
	}
	return "", p.senders[method] != nil
}

func (c *Config) planThrottle(p *plan, _ shell) error {
	p.throttle = throttle.DefaultPolicy()
	t := c.Throttle
	for _, n := range []struct {
		name string
		from *int
		to   *int
	}{{"principal", t.Principal, &p.throttle.Principal}, {"network", t.Network, &p.throttle.Network}, {"closed", t.Closed, &p.throttle.Closed},
		{"sends", t.Sends, &p.throttle.Sends}, {"network_sends", t.NetworkSends, &p.throttle.NetworkSends}} {
		if n.from == nil {
			continue
		}
		if *n.from < 0 || *n.from > 10000 {
			return c.At("/throttle/"+n.name, "%s: expected 0 to 10000", n.name)
		}
		*n.to = *n.from
		if *n.from == 0 {
			what := "wrong tries"
			if strings.HasSuffix(n.name, "sends") {
				what = "messages"
			}
			p.warnings = append(p.warnings, fmt.Sprintf("throttle: %s is 0: this limit on %s is off", n.name, what))
		}
	}
	for _, d := range []struct {
		from *Duration
		to   *time.Duration
	}{{t.Window, &p.throttle.Window}, {t.Delay, &p.throttle.Delay}, {t.DelayMax, &p.throttle.DelayMax}, {t.SendWindow, &p.throttle.SendWindow}} {
		if d.from != nil {
			*d.to = d.from.std()
		}
	}
	return nil
}

func (c *Config) planPasswords(p *plan, _ shell) error {
	w := c.Passwords
	if w.Hash != "" && w.Hash != "argon2id" {
		return c.At("/passwords/hash", "hash: expected argon2id (other formats are verified, and rehashed at the first login)")
	}
	p.passwords = secret.PasswordPolicy{MinLength: defaultPassword}
	if w.MinLength != 0 {
		if w.MinLength < minPassword || w.MinLength > 128 {
			return c.At("/passwords/min_length", "min_length: expected %d to 128", minPassword)
		}
		p.passwords.MinLength = w.MinLength
	}
	params := secret.DefaultHashParams()
	for _, n := range []struct {
		name     string
		from     int
		low, top int
		set      func(int)
	}{
		{"memory", w.Memory, 8, 1 << 20, func(n int) { params.MemoryKiB = uint32(n) }},
		{"time", w.Time, 1, 100, func(n int) { params.Time = uint32(n) }},
		{"threads", w.Threads, 1, 255, func(n int) { params.Threads = uint8(n) }},
		{"hash_slots", w.HashSlots, 1, 1024, func(n int) { p.hasher.Slots = n }},
	} {
		if n.from == 0 {
			continue
		}
		if n.from < n.low || n.from > n.top {
			return c.At("/passwords/"+n.name, "%s: expected %d to %d", n.name, n.low, n.top)
		}
		n.set(n.from)
	}
	if err := params.Validate(); err != nil {
		return c.At("/passwords", "passwords: %v", err)
	}
	if d := secret.DefaultHashParams(); params.MemoryKiB < d.MemoryKiB || params.MemoryKiB == d.MemoryKiB && params.Time < d.Time {
		p.warnings = append(p.warnings, "passwords: memory and time are below what OWASP recommends for Argon2id (19456 KiB, 2 passes)")
	}
	p.hasher.Params = params
	return nil
}

func (c *Config) defaultRealm() string {
	if c.DefaultRealm == "" {
		return account.DefaultRealm
	}
	return c.DefaultRealm
}

func (c *Config) planRest(p *plan, s shell) error {
	if c.Credentials != "" && c.Credentials != "cookie" && c.Credentials != "all" {
		return c.At("/credentials", "credentials: expected cookie or all")
	}
	if err := c.exactOrigins("/cors/allow_origins", "allow_origins", c.CORS.AllowOrigins); err != nil {
		return err
	}
	if c.Portal == "" && len(c.CookieDomain) == 0 {
		text := "there is no portal: invitations are off, and what is guarded shares its origin with the pages, so it must be trusted"
		if s.routes || c.local() {
			p.hints = append(p.hints, text)
		} else {
			p.warnings = append(p.warnings, text)
		}
	}
	return c.planMasterKey()
}

// exactOrigins demands origins as browsers write them.
func (c *Config) exactOrigins(at, word string, origins []string) error {
	for i, o := range origins {
		if err := origin(o); err != nil || strings.HasSuffix(o, "/") || strings.ToLower(o) != o {
			return c.At(fmt.Sprintf("%s/%d", at, i), "%s: expected an exact origin in small letters, such as https://app.example.com", word)
		}
	}
	return nil
}

// planMasterKey looks at the form of the key; whether it is the right one only
// the store knows.
func (c *Config) planMasterKey() error {
	if c.MasterKey == "" {
		if c.written("/master_key") { // an empty file is no wish for another key
			return c.At("/master_key", "master_key is empty: 32 bytes in base64 or hexadecimal are expected")
		}
		return nil
	}
	if _, err := secret.ParseMasterKey([]byte(c.MasterKey)); err != nil {
		return c.At("/master_key", "master_key %s", keyFault(err))
	}
	return nil
}

// local reports whether the server listens on this machine alone.
func (c *Config) local() bool { return local(c.ListenAddress()) }

func local(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	return err == nil && loopback(host)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost")
}
