// Package proxy guards one upstream that knows nothing of logins: every
// request loses its identity headers, is judged, and goes on with ours.
//
// What the guard saw goes on unchanged: path and query byte for byte, the Host
// as it came, bodies and trailers as they stream. What does not go on: any
// credential of ours, forwarding headers that nobody trusted wrote, an upgrade
// to anything but a WebSocket (h2c would be a tunnel for requests that nobody
// judged), and every path that an upstream could read as /sallyport/.
package proxy

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// Options is what a Handler is made of.
type Options struct {
	Guard *guard.Guard // required
	// Site returns the site of a host. Required.
	Site func(host string) *web.LoginSite
	// Upstream is where requests go: http, https or h2c (HTTP/2 without TLS),
	// host, and a path that is put in front. Nil with Next.
	Upstream *url.URL
	// Next is asked instead of Upstream. Both are nil where Guard alone is used.
	Next http.Handler
	// Transport carries requests to Upstream. Nil: one of our own.
	Transport http.RoundTripper
	// Trusted are the proxies in front of us. Zero: nobody.
	Trusted web.Trusted
	// Client and Scheme say who is asking and by which scheme, for shells that
	// know better than Trusted does. Nil: Trusted.
	Client func(*http.Request) netip.Addr
	Scheme func(*http.Request) string
	// Target says which path goes on to the upstream (raw, without the query), and
	// which address the browser asked for (raw, with it), for shells that rewrite
	// before they guard. Nil: both are the request's own.
	Target func(*http.Request) (path, original string, ok bool)
	// WebSocket tells the CONNECT that opens a WebSocket over HTTP/2 or HTTP/3 (RFC
	// 8441, RFC 9220), for shells that carry it. Rules see the GET that it stands
	// for. Nil: no CONNECT is passed on.
	WebSocket func(*http.Request) bool
	// KeepForwarded leaves X-Forwarded-* and the body's deadline to the shell.
	KeepForwarded bool
	// Demands puts all that the rule asks into the address of the login, for login
	// pages that do not know the rules of this route.
	Demands bool
	// Stripper knows the identity headers. Nil: those of all presets.
	Stripper *web.Stripper
	// Assertion signs (session.Registry.Assertion). Required where a rule has
	// assertion on; without it such requests are unavailable.
	Assertion func(l session.Live, aud, alg string) (string, error)
	// Subscribe tells of a session's end and of changes of its owner
	// (session.Registry.Follow). Without it streams are never cut.
	Subscribe func(live session.Live, fn func(ended bool)) (stop func())
	// ErrorPage writes a page for a person. Nil: plain text.
	ErrorPage func(w http.ResponseWriter, r *http.Request, status int, text string)
	// OnDecision sees every decision before it is acted on. Nil: nobody does.
	OnDecision func(d *guard.Decision)
	Logger     *slog.Logger     // nil: silent
	Clock      func() time.Time // nil: time.Now
	// WatchAfter is how long an answer may take before it counts as a stream
	// that is watched. 0: 2 s. Upgrades are watched from the start.
	WatchAfter time.Duration
}

// Handler is a guarded upstream. Safe for concurrent use.
type Handler struct {
	o    Options
	next http.Handler
}

// New returns a Handler.
func New(o Options) (*Handler, error) {
	if o.Guard == nil || o.Site == nil {
		return nil, errors.New("make a guarded upstream: guard and site are required")
	}
	if o.Upstream != nil && o.Next != nil {
		return nil, errors.New("make a guarded upstream: expected either a URL or a handler")
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
	if o.WatchAfter == 0 {
		o.WatchAfter = 2 * time.Second
	}
	if o.Client == nil {
		o.Client = o.Trusted.Client
	}
	if o.Scheme == nil {
		o.Scheme = o.Trusted.Scheme
	}
	if o.Target == nil {
		o.Target = target
	}
	h := &Handler{o: o, next: o.Next}
	if o.Upstream != nil {
		next, err := h.upstream()
		if err != nil {
			return nil, err
		}
		h.next = next
	}
	return h, nil
}

// ServeHTTP guards one request to the upstream.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if refusal := h.Guard(w, r, h.on); refusal != nil {
		h.Refuse(w, r, refusal)
	}
}

func (h *Handler) on(w http.ResponseWriter, r *http.Request, _ *guard.Decision) {
	h.next.ServeHTTP(w, r)
}

// Pass is what a request goes on to, with the decision that let it.
type Pass func(w http.ResponseWriter, r *http.Request, d *guard.Decision)

// Guard guards one request: next is asked where the guard lets it pass. A
// challenge to a browser is answered at once; any other answer is returned, for
// Refuse or for a shell that has errors of its own. Headers that belong to it are
// set. Removing identity headers is the first thing on every branch.
func (h *Handler) Guard(w http.ResponseWriter, r *http.Request, next Pass) *Refusal {
	h.strip(r)
	method := r.Method
	if h.o.WebSocket != nil && method == http.MethodConnect && h.o.WebSocket(r) {
		method = http.MethodGet
	}
	if method == http.MethodConnect || r.Method == http.MethodTrace || r.RequestURI == "*" {
		return refuse(http.StatusMethodNotAllowed, "method", "This method is not passed on.", 0)
	}
	path, original, ok := h.o.Target(r)
	host, err := guard.RequestHost(r.Host)
	if !ok || err != nil || strings.ContainsFunc(r.RequestURI, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return refuse(http.StatusBadRequest, "request", "The request cannot be read.", 0)
	}
	// What goes on is the host that the rules saw, not another spelling of it.
	if r.Host != host {
		r.Host = host + port(r.Host)
	}
	switch reserved, err := guard.Below(path, web.Prefix); {
	case err != nil:
		return refuse(http.StatusBadRequest, "request", "The address can be read in more than one way.", 0)
	case reserved:
		return refuse(http.StatusNotFound, "not_found", "There is no such page.", 0)
	}
	if len(r.Header["Authorization"]) > 1 {
		return refuse(http.StatusBadRequest, "request", "The request names two credentials.", 0)
	}
	scheme := h.o.Scheme(r)
	req := &guard.Request{
		Method: method, Scheme: scheme, Host: r.Host, Path: path,
		Client:        h.o.Client(r),
		Cookie:        h.o.Site(r.Host).Cookies.Guard(r.Header, scheme),
		Authorization: r.Header.Get("Authorization"),
		Navigation:    web.Navigation(r.Header),
		Preflight:     web.Preflight(r.Method, r.Header),
	}
	d := h.o.Guard.Check(r.Context(), req)
	if h.o.OnDecision != nil {
		h.o.OnDecision(&d)
	}
	switch {
	case web.Early(r) && (d.NetworkAware || web.Unsafe(r.Method)):
		return refuse(http.StatusTooEarly, "too_early", "Send this again when the connection is established.", 0)
	case d.Outcome != guard.Allow:
		return h.answer(w, r, req, original, &d)
	}
	return h.pass(w, r, req, &d, next)
}

// Agrees reports whether the rule that let a request pass would also decide for
// another path of it (raw, without the query): one that its upstream may come to
// know, because a shell rewrote it.
func (h *Handler) Agrees(r *http.Request, path string, d *guard.Decision) bool {
	method := r.Method
	if method == http.MethodConnect { // a WebSocket: nothing else passes
		method = http.MethodGet
	}
	return !d.PathAware || h.o.Guard.Selects(&guard.Request{Method: method, Host: r.Host, Client: h.o.Client(r)}, path, d.Rule)
}

// port is the port of a Host header that RequestHost took, with its colon.
func port(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[i:]
	}
	return ""
}

// strip removes identity from headers and trailers. A trailer arrives with the
// end of the body, announced or not, so it is looked at there too.
func (h *Handler) strip(r *http.Request) {
	h.o.Stripper.Strip(r.Header)
	web.OnlyWebSocket(r.Header)
	if r.Trailer == nil {
		return
	}
	h.stripTrailer(r.Trailer)
	announced := slices.Collect(maps.Keys(r.Trailer))
	r.Body = &trailerBody{ReadCloser: r.Body, strip: func() {
		maps.DeleteFunc(r.Trailer, func(name string, _ []string) bool { return !slices.Contains(announced, name) })
		h.stripTrailer(r.Trailer)
	}}
}

// stripTrailer removes what must not come after a body: identity, credentials,
// and the fields of framing and routing (RFC 9110 section 6.5.1), which a server
// that merges trailers into headers would believe.
func (h *Handler) stripTrailer(t http.Header) {
	h.o.Stripper.Strip(t)
	web.StripForwarded(t)
	web.StripMethodOverrides(t)
	for name := range t {
		switch http.CanonicalHeaderKey(name) {
		case "Authorization", "Cookie", "Set-Cookie", "Proxy-Authorization", "Proxy-Authenticate", "Proxy-Connection", "Www-Authenticate",
			"Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Te", "Trailer", "Upgrade", "Expect",
			"Content-Type", "Content-Encoding", "Content-Range", "Range", "Max-Forwards", "Origin", "Referer":
			delete(t, name)
		}
	}
}

// target is Options.Target for shells that pass on what came.
func target(r *http.Request) (path, original string, ok bool) {
	path, ok = rawPath(r)
	original = path
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		original += "?" + r.URL.RawQuery
	}
	return path, original, ok
}

// rawPath is the path of the request target as it came, without the query.
func rawPath(r *http.Request) (string, bool) {
	target := r.RequestURI
	if _, rest, ok := strings.Cut(target, "://"); ok && target[0] != '/' { // absolute-form, RFC 9112 section 3.2.2
		slash := strings.IndexByte(rest, '/')
		if slash < 0 {
			return "", false
		}
		target = rest[slash:]
	}
	path, _, _ := strings.Cut(target, "?")
	return path, path != "" && path[0] == '/'
}

// pass sends an allowed request on. From here on the body may take its time:
// until here the shell's deadline held.
func (h *Handler) pass(w http.ResponseWriter, r *http.Request, req *guard.Request, d *guard.Decision, next Pass) *Refusal {
	assertion := ""
	if d.Assertion != guard.AssertionNone && d.Identity != nil {
		var err error
		if assertion, err = h.sign(req, d); err != nil {
			h.o.Logger.ErrorContext(r.Context(), "guarded upstream: an assertion could not be signed", "error", err)
			return refuse(http.StatusServiceUnavailable, "unavailable", "The gateway cannot answer at this moment.", time.Second)
		}
	}
	if req.Authorization != "" && (d.Judged || h.o.Guard.Ours(r.Context(), req.Authorization)) {
		delete(r.Header, "Authorization")
	}
	web.StripCookies(r.Header)
	if d.MethodAware {
		web.StripMethodOverrides(r.Header)
	}
	if d.PathAware {
		web.StripPathOverrides(r.Header)
	}
	if !h.o.KeepForwarded {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		h.forward(r, req)
	}
	web.SetIdentity(r.Header, d, assertion)

	if d.Live.Identity == nil || h.o.Subscribe == nil {
		next(w, r, d)
		return nil
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	watch := h.watch(*req, d.Live, upgrades(r), cancel)
	defer watch.stop()
	next(w, r.WithContext(ctx), d)
	return nil
}

func (h *Handler) sign(req *guard.Request, d *guard.Decision) (string, error) {
	if h.o.Assertion == nil {
		return "", errors.New("no signer is there")
	}
	return h.o.Assertion(d.Live, web.OwnOrigin(req.Scheme, req.Host), string(d.Assertion))
}

// forward sets the forwarding headers, of which nothing that an untrusted peer
// wrote stays.
func (h *Handler) forward(r *http.Request, req *guard.Request) {
	chain := ""
	if h.o.Trusted.TrustsPeer(r) && req.Client.IsValid() && req.Client != web.Peer(r) {
		chain = req.Client.String()
	}
	if peer := web.Peer(r); peer.IsValid() {
		if chain != "" {
			chain += ", "
		}
		chain += peer.String()
	}
	web.StripForwarded(r.Header)
	if chain != "" {
		r.Header["X-Forwarded-For"] = []string{chain}
	}
	r.Header["X-Forwarded-Host"] = []string{r.Host}
	r.Header["X-Forwarded-Proto"] = []string{req.Scheme}
}

// upgrades reports whether a request asks for a WebSocket.
func upgrades(r *http.Request) bool {
	return len(r.Header["Upgrade"]) > 0 || r.Method == http.MethodConnect
}

// upstream makes the reverse proxy.
func (h *Handler) upstream() (http.Handler, error) {
	base := *h.o.Upstream
	transport := h.o.Transport
	h2c := base.Scheme == "h2c"
	switch {
	case base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("make a guarded upstream: expected a URL such as http://127.0.0.1:3000")
	case h2c:
		base.Scheme = "http"
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, errors.New("make a guarded upstream: expected http, https or h2c")
	}
	if transport == nil {
		transport = newTransport(h2c)
	}
	return &httputil.ReverseProxy{
		Rewrite:        func(p *httputil.ProxyRequest) { rewrite(p, &base) },
		Transport:      transport,
		FlushInterval:  -1,
		ModifyResponse: dropOurCookies,
		ErrorHandler:   h.upstreamFailed,
		ErrorLog:       slog.NewLogLogger(h.o.Logger.Handler(), slog.LevelDebug),
	}, nil
}

// newTransport uses no proxy from the environment and never asks an upstream
// to compress what the client did not want compressed.
func newTransport(h2c bool) *http.Transport {
	t := &http.Transport{
		MaxIdleConns: 1024, MaxIdleConnsPerHost: 256, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, ExpectContinueTimeout: time.Second,
		DisableCompression: true, ForceAttemptHTTP2: true,
	}
	if h2c {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	return t
}

// rewrite aims a request at the upstream and keeps the target's bytes.
func rewrite(p *httputil.ProxyRequest, base *url.URL) {
	raw, _ := rawPath(p.In)
	p.Out.URL.Scheme, p.Out.URL.Host = base.Scheme, base.Host
	p.Out.URL.RawQuery, p.Out.URL.ForceQuery = p.In.URL.RawQuery, p.In.URL.ForceQuery
	p.Out.Host = p.In.Host
	// The library has removed these as if the client had written them; forward
	// has seen to that already.
	for _, name := range [...]string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := p.In.Header[name]; ok {
			p.Out.Header[name] = v
		}
	}
	if p.In.Trailer != nil {
		p.Out.Trailer = p.In.Trailer // filled when the body ends
	}
	whole := strings.TrimSuffix(base.EscapedPath(), "/") + raw
	p.Out.URL.RawPath, p.Out.URL.Opaque = "", ""
	if decoded, err := url.PathUnescape(whole); err == nil {
		p.Out.URL.Path, p.Out.URL.RawPath = decoded, whole
	}
	if p.Out.URL.EscapedPath() != whole && !strings.HasPrefix(whole, "//") {
		p.Out.URL.Opaque = whole
	}
}

// dropOurCookies keeps an upstream from setting a cookie of ours.
func dropOurCookies(r *http.Response) error {
	if lines, ok := r.Header["Set-Cookie"]; ok {
		kept := slices.DeleteFunc(slices.Clone(lines), web.OurCookie)
		if len(kept) == 0 {
			delete(r.Header, "Set-Cookie")
		} else {
			r.Header["Set-Cookie"] = kept
		}
	}
	return nil
}

// upstreamFailed is a calm page. What went wrong is in the log: the text of
// the error names addresses behind us.
func (h *Handler) upstreamFailed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has gone, or may not go on
	}
	h.o.Logger.WarnContext(r.Context(), "upstream does not answer", "error", err)
	h.Refuse(w, r, refuse(http.StatusBadGateway, "upstream", "The application behind this gateway does not answer. Try again in a moment.", 0))
}
