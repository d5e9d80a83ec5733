package guard

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// TargetParam is the query parameter of the login page that names where
	// to go afterwards.
	TargetParam = "rd"
	// SignatureParam is the query parameter with the guard's signature of it.
	SignatureParam = "rs"
	// signatureLife is how long a challenge may wait for its login.
	signatureLife = time.Hour
	// maxTarget bounds a target, in bytes.
	maxTarget = 4096
)

// TargetOptions is what decides on redirect targets.
type TargetOptions struct {
	// Portal is the origin of the login pages ("https://auth.example.com").
	// Empty: only local targets are allowed.
	Portal string
	// Domains are the cookie domains ("example.com").
	Domains []string
	// Ports are allowed besides the scheme's default and the portal's own.
	Ports []int
	// Rules name hosts.
	Rules *Rules
	// Key signs, at least 32 bytes. All nodes have the same.
	Key []byte
}

// Targets decides where a login or logout may send a browser back to. It is
// the only place that does. Safe for concurrent use.
type Targets struct {
	scheme, host, port string
	domains            []string
	ports              []int
	rules              *Rules
	key                []byte
}

// NewTargets reads options.
func NewTargets(o TargetOptions) (*Targets, error) {
	if len(o.Key) < 32 {
		return nil, errors.New("decide on redirect targets: a key of 32 bytes or more is needed")
	}
	t := &Targets{ports: slices.Clone(o.Ports), rules: o.Rules, key: slices.Clone(o.Key)}
	if t.rules == nil {
		t.rules = &Rules{}
	}
	if o.Portal == "" {
		return t, nil
	}
	u, err := url.Parse(o.Portal)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("decide on redirect targets: portal %+q: expected https://host", o.Portal)
	}
	if t.host, err = CanonicalHost(u.Host); err != nil {
		return nil, fmt.Errorf("decide on redirect targets: portal %+q: %w", o.Portal, err)
	}
	t.scheme, t.port = u.Scheme, u.Port()
	for _, d := range o.Domains {
		host, err := CanonicalHost(strings.TrimPrefix(d, "."))
		if err != nil {
			return nil, fmt.Errorf("decide on redirect targets: cookie domain %+q: %w", d, err)
		}
		t.domains = append(t.domains, host)
	}
	return t, nil
}

// Allowed decides on a target that came from a query, a form or a header. It
// returns the spelling to redirect to, which is what was judged. sig is the
// value of SignatureParam, "" if there is none; it stands in for a rule that
// names the host, for nothing else.
func (t *Targets) Allowed(raw, sig string, now time.Time) (target string, ok bool) {
	if strings.HasPrefix(raw, "/") {
		return t.Local(raw)
	}
	u, ok := t.absolute(raw)
	if !ok {
		return "", false
	}
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	switch {
	case host == t.host:
	case !t.belowDomain(host):
		return "", false
	case !t.rules.names(host) && !t.signed(raw, sig, now):
		return "", false
	}
	return u.String(), true
}

// Local decides on a path of the same origin: one leading slash, however often
// it is decoded and cleaned, no backslash, no control character.
func (t *Targets) Local(raw string) (target string, ok bool) {
	if len(raw) > maxTarget || len(raw) == 0 || raw[0] != '/' || !plainText(raw) {
		return "", false
	}
	path := raw
	if i := strings.IndexAny(raw, "?#"); i >= 0 {
		path = raw[:i]
	}
	for range 3 {
		bare := strings.Map(func(r rune) rune {
			if r <= ' ' || r == 0x7f || r == 0xa0 || r == '\u3000' {
				return -1
			}
			return r
		}, slashes(path))
		if strings.HasPrefix(bare, "//") || strings.HasPrefix(resolveDots(bare), "//") || strings.HasPrefix(resolveDots(cutParameters(bare)), "//") {
			return "", false
		}
		decoded, err := decode(path)
		if err != nil {
			if errors.Is(err, errEscape) && path != raw {
				break
			}
			return "", false
		}
		if strings.Contains(decoded, `\`) {
			return "", false
		}
		path = decoded
	}
	target = strings.ReplaceAll(raw, " ", "%20")
	if u, err := url.Parse(target); err != nil || u.Scheme != "" || u.Host != "" || u.User != nil {
		return "", false
	}
	return target, true
}

// absolute reads an absolute URL with everything that readers disagree about
// refused: the string that comes back has one reading.
func (t *Targets) absolute(raw string) (*url.URL, bool) {
	if t.host == "" || len(raw) > maxTarget || !plainText(raw) {
		return nil, false
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "https" && (scheme != "http" || t.scheme != "http") {
		return nil, false
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, rest = rest[:i], rest[i:]
	} else {
		rest = ""
	}
	host, err := CanonicalHost(authority)
	if err != nil || strings.ContainsAny(authority, "@%") {
		return nil, false
	}
	port := ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		port = authority[i+1:]
	}
	if !t.portAllowed(scheme, port) {
		return nil, false
	}
	if port != "" {
		host += ":" + port
	}
	u, err := url.Parse(scheme + "://" + host + strings.ReplaceAll(rest, " ", "%20"))
	if err != nil || u.User != nil || u.Host != host || u.Opaque != "" {
		return nil, false
	}
	return u, true
}

func (t *Targets) portAllowed(scheme, port string) bool {
	if port == "" || scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return true
	}
	if port == t.port {
		return true
	}
	n, err := strconv.Atoi(port)
	return err == nil && slices.Contains(t.ports, n) && strconv.Itoa(n) == port
}

func (t *Targets) belowDomain(host string) bool {
	for _, d := range t.domains {
		if host == d || strings.HasSuffix(host, "."+d) {
			return true
		}
	}
	return false
}

// plainText refuses what browsers strip or turn: control characters, white
// space at the ends, the backslash.
func plainText(s string) bool {
	if strings.TrimSpace(s) != s {
		return false
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\\' || r == '\ufffd' || r == '\ufeff' || r >= 0x2028 && r <= 0x202e || r >= 0x200b && r <= 0x200f {
			return false
		}
	}
	return true
}

// Sign returns the signature that makes a target of a challenge acceptable for
// an hour, on a host that no rule names. The guard that challenged signs what
// it saw; nobody else can.
func (t *Targets) Sign(target string, now time.Time) string {
	until := binary.BigEndian.AppendUint64(nil, uint64(now.Add(signatureLife).Unix()))
	return base64.RawURLEncoding.EncodeToString(append(until, t.mac(until, target)...))
}

func (t *Targets) signed(target, sig string, now time.Time) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sig)
	if err != nil || len(raw) != 8+sha256.Size {
		return false
	}
	until := time.Unix(int64(binary.BigEndian.Uint64(raw)), 0)
	return hmac.Equal(raw[8:], t.mac(raw[:8], target)) && now.Before(until) && until.Sub(now) <= signatureLife
}

func (t *Targets) mac(until []byte, target string) []byte {
	h := hmac.New(sha256.New, t.key)
	h.Write([]byte("sallyport redirect target\x00"))
	h.Write(until)
	h.Write([]byte(target))
	return h.Sum(nil)
}
