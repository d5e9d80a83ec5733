package authz

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// original is the request that a proxy asks about.
type original struct {
	method, scheme, host string
	path                 string // raw
	uri                  string // raw path and query, for the way back
	tighten              guard.Demand
}

// Each protocol reads its own headers and no other: what a client can add and
// the proxy does not overwrite changes nothing.
var (
	forwardHeaders = [...]string{"X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-For"}
	requestHeaders = [...]string{"X-Original-Url", "X-Original-Method", "X-Forwarded-For"}
	envoyHeaders   = [...]string{"X-Forwarded-Proto"}
)

// refusal is a sentence for whoever configures the proxy. Nothing of the
// request stands in it.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	errProto  refusal = "The original scheme is neither http nor https."
	errHost   refusal = "The original host is not valid."
	errClient refusal = "X-Forwarded-For is not a list of addresses."
	errURI    refusal = "The original URI is not valid."
	errTunnel refusal = "Only an upgrade to a WebSocket can be judged: the proxy must drop any other."
	errQuery  refusal = "A query parameter of the check URL is not valid: expected realm, groups, factors (0, 1, 2) and fresh (15m), each once."
)

var errNoSigner = errors.New("sign an assertion: no signer is there")

// read finds the original request. other: at one of Authelia's paths. Errors are
// sentences without input.
func read(k kind, rest string, other bool, r *http.Request) (original, error) {
	if web.Tunnel(r.Header) { // where a proxy tells: most snippets of old pass any upgrade on
		return original{}, errTunnel
	}
	switch k {
	case forwardAuth:
		return readForward(rest, other, r.Header)
	case authRequest:
		return readRequest(rest, other, r.Header)
	}
	return readEnvoy(rest, r)
}

func readForward(query string, other bool, h http.Header) (o original, err error) {
	if err := once(h, forwardHeaders[:]); err != nil {
		return o, err
	}
	o.method, o.host, o.uri = h["X-Forwarded-Method"][0], h["X-Forwarded-Host"][0], h["X-Forwarded-Uri"][0]
	if o.scheme, err = scheme(h["X-Forwarded-Proto"][0]); err != nil {
		return o, err
	}
	if o.tighten, err = tighten(query, other); err != nil {
		return o, err
	}
	return o, o.check()
}

func readRequest(query string, other bool, h http.Header) (o original, err error) {
	if err := once(h, requestHeaders[:]); err != nil {
		return o, err
	}
	o.method = h["X-Original-Method"][0]
	proto, rest, ok := strings.Cut(h["X-Original-Url"][0], "://")
	slash := strings.IndexByte(rest, '/')
	if !ok || slash < 0 {
		return o, errURI
	}
	o.host, o.uri = rest[:slash], rest[slash:]
	if o.scheme, err = scheme(proto); err != nil {
		return o, err
	}
	if o.tighten, err = tighten(query, other); err != nil {
		return o, err
	}
	return o, o.check()
}

// readEnvoy reads the request itself: Envoy puts its own path in front of the
// original one. The query is the client's and tightens nothing.
func readEnvoy(rest string, r *http.Request) (o original, err error) {
	if err := once(r.Header, envoyHeaders[:]); err != nil {
		return o, err
	}
	o.method, o.host, o.uri = r.Method, r.Host, rest
	if o.scheme, err = scheme(r.Header["X-Forwarded-Proto"][0]); err != nil {
		return o, err
	}
	return o, o.check()
}

// check refuses what the guard would not look at, and cuts the query off.
func (o *original) check() error {
	for i := 0; i < len(o.uri); i++ {
		if o.uri[i] <= ' ' || o.uri[i] == 0x7f {
			return errURI
		}
	}
	if o.uri == "" || o.uri[0] != '/' {
		return errURI
	}
	if _, err := guard.RequestHost(o.host); err != nil {
		return errHost
	}
	o.path, _, _ = strings.Cut(o.uri, "?")
	return nil
}

// scheme reads a scheme as proxies write it. Traefik says ws and wss of a
// WebSocket's handshake.
func scheme(s string) (string, error) {
	switch s {
	case "https", "wss":
		return "https", nil
	case "http", "ws":
		return "http", nil
	}
	return "", errProto
}

// once demands that each of names is there with one value, in its own spelling
// alone, and says which one is not.
func once(h http.Header, names []string) error {
	for _, name := range names {
		if v := h[name]; len(v) != 1 || v[0] == "" {
			return refusal("The proxy must send " + name + " exactly once.")
		}
	}
	if web.OtherSpelling(h, names) {
		return refusal("A header with the original request is there in a second spelling.")
	}
	return nil
}

// tighten reads the query of the check URL, which the proxy's configuration
// wrote. A name that is not ours is refused: group=ops, meant as groups=ops,
// would otherwise admit everybody. rd and authelia_url stand in the snippets of
// Authelia's users and mean nothing here.
//
// At Authelia's paths other names mean nothing: their snippet for Caddy (uri
// without a ?) hands the client's own query on, so every page with one would be
// refused.
func tighten(query string, other bool) (d guard.Demand, err error) {
	if query == "" {
		return d, nil
	}
	values, err := url.ParseQuery(query)
	if err != nil && (!other || damaged(query)) {
		return d, errQuery
	}
	for name, v := range values {
		switch {
		case tightens(name):
			if len(v) != 1 || v[0] == "" {
				return d, errQuery
			}
			if err := demand(&d, name, v[0]); err != nil {
				return d, errQuery
			}
		case name != "rd" && name != "authelia_url" && !other:
			return d, errQuery
		}
	}
	return d, nil
}

func tightens(name string) bool {
	return name == "realm" || name == "groups" || name == "factors" || name == "fresh"
}

// damaged reports whether one of our parameters is among those that
// url.ParseQuery left out: a demand that was written must not be lost.
func damaged(query string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err != nil || !tightens(name) {
			continue
		}
		if _, err := url.QueryUnescape(value); err != nil || strings.Contains(value, ";") {
			return true
		}
	}
	return false
}

func demand(d *guard.Demand, name, value string) (err error) {
	switch name {
	case "realm":
		d.Realm, err = principal.CanonicalRealm(value)
	case "groups":
		for part := range strings.SplitSeq(value, ",") {
			group, err := principal.CanonicalGroup(part)
			if err != nil {
				return err
			}
			d.Groups = append(d.Groups, group)
		}
	case "factors":
		if len(value) != 1 || value[0] < '0' || value[0] > '2' {
			return errQuery
		}
		d.Factors = int(value[0] - '0')
	case "fresh":
		if d.Fresh, err = time.ParseDuration(value); err == nil && d.Fresh <= 0 {
			return errQuery
		}
	}
	return err
}
