package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/proxy"
)

// Handler guards a route: who may not pass is sent to the login, or refused, and
// what comes after it sees identity headers that nobody else can set. It answers
// /sallyport/ on its host by itself.
//
// Its words are those of one rule; Rules is for more than one, of which the first
// that matches decides. With neither the rule is: two factors, realms users and
// admin. Caddy's own matchers say which requests come here at all; what must not
// be reached without a login must not depend on them, so give Rules their own
// `paths` and guard the whole site.
//
// The decision is on the address after rewrites. Where rules look at paths and would
// decide otherwise on the one before, what comes next is not told of that one: a
// front controller that goes by REQUEST_URI (try_files before php_fastcgi) wants its
// rewrites inside a `handle` or `route` behind this one.
//
// The placeholders {http.auth.user.id}, .name, .email, .groups, .realm and .uuid
// say who was let in. Refusals (400, 401, 403, 404, 405, 425, 429, 503) go through
// handle_errors where the site has routes for them, else a page or a problem
// document is written.
type Handler struct {
	// Portal makes this the host of the login pages: it answers everything by
	// itself, guards nothing and has no rules.
	Portal bool `json:"portal,omitempty"`

	guard.Rule

	// Rules take the place of the words above.
	Rules []guard.Rule `json:"rules,omitempty"`

	raw     json.RawMessage // as it was written, placeholders and all
	gateway http.Handler
	route   *proxy.Handler
}

// CaddyModule returns the module's registration.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.sallyport", New: func() caddy.Module { return new(Handler) }}
}

// handlerJSON is Handler without its methods.
type handlerJSON Handler

// UnmarshalJSON reads the words strictly and replaces their placeholders.
func (h *Handler) UnmarshalJSON(text []byte) error {
	h.raw = slices.Clone(text)
	return h.source().Into((*handlerJSON)(h))
}

func (h *Handler) source() gateway.Source { return gateway.Source{JSON: h.raw, Expand: true} }

// MarshalJSON writes what was read, or else the words.
func (h *Handler) MarshalJSON() ([]byte, error) {
	if h.raw != nil {
		return h.raw, nil
	}
	return json.Marshal((*handlerJSON)(h))
}

// rules are what decides on this route.
func (h *Handler) rules() ([]guard.Rule, error) {
	own, err := json.Marshal(h.Rule)
	if err != nil {
		return nil, err
	}
	some := !bytes.Equal(own, []byte("{}"))
	switch {
	case h.Portal && (some || len(h.Rules) > 0):
		return nil, errors.New("a portal guards nothing, so it has no rules")
	case some && len(h.Rules) > 0:
		return nil, errors.New("either the words of one rule, or rules: not both")
	case some:
		return []guard.Rule{h.Rule}, nil
	}
	return h.Rules, nil
}

// Provision compiles the rules over the app's gateway.
func (h *Handler) Provision(ctx caddy.Context) error {
	a, err := app(ctx)
	if err != nil {
		return err
	}
	rules, err := h.rules()
	if err != nil {
		return err
	}
	h.gateway = a.gateway.Handler()
	if h.Portal {
		return nil
	}
	h.route, err = a.gateway.Route(gateway.RouteOptions{Rules: rules, Target: target, WebSocket: webSocket})
	return h.source().Hide(err)
}

// ServeHTTP guards one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.Portal {
		r = web.MarkForwarded(r)
	}
	web.Strip(r.Header) // before any branch: what is refused may go to an application too
	web.OnlyWebSocket(r.Header)
	came := restore(r)
	if own, ok := h.owns(r); ok {
		if web.Early(r) { // whoever recorded it could send it again
			return h.refuse(w, r, &proxy.Refusal{Status: http.StatusTooEarly, Code: "too_early", Text: "Send this again when the connection is established."})
		}
		h.gateway.ServeHTTP(w, own)
		return nil
	}
	var failed error
	refusal := h.route.Guard(w, r, func(w http.ResponseWriter, r *http.Request, d *guard.Decision) {
		tell(r, d)
		r = h.asJudged(r.WithContext(context.WithValue(r.Context(), credentialsKey{}, came)), d)
		upstream := &guarded{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
		failed = next.ServeHTTP(upstream, r)
		upstream.drop() // of an answer that is a header alone
	})
	if refusal != nil {
		return h.refuse(w, r, refusal)
	}
	return failed
}

// credentials are the lines of a request that only a guard may see. A guard behind
// this one, with stricter rules for a part of the site, finds them in the context.
type credentials struct{ cookie, authorization []string }

// credentialsKey finds them.
type credentialsKey struct{}

// restore gives a request back what a guard before this one took away, and returns
// its credentials.
func restore(r *http.Request) credentials {
	came, again := r.Context().Value(credentialsKey{}).(credentials)
	if !again {
		return credentials{r.Header["Cookie"], r.Header["Authorization"]}
	}
	for name, lines := range map[string][]string{"Cookie": came.cookie, "Authorization": came.authorization} {
		if len(lines) > 0 {
			r.Header[name] = lines
		}
	}
	return came
}

// asJudged keeps the address that was asked for, before rewrites, from what comes
// next, where the rules would not have decided on it alike. FastCGI tells it to the
// application, and an application that goes by it (all front controllers do) would
// otherwise serve what no rule saw.
func (h *Handler) asJudged(r *http.Request, d *guard.Decision) *http.Request {
	first, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || first.URL == nil || first.URL.EscapedPath() == r.URL.EscapedPath() || h.route.Agrees(r, first.URL.EscapedPath(), d) {
		return r
	}
	u := *r.URL
	first.URL, first.RequestURI = &u, u.RequestURI()
	return r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, first))
}

// owns reports whether the gateway answers a request by itself, and returns it as
// it answers it: as the browser sent it, where that was below /sallyport/. A site
// that rewrites every unknown path to its own index would else have no login pages,
// and send people to them for ever.
func (h *Handler) owns(r *http.Request) (*http.Request, bool) {
	if first := asSent(r); gateway.Owns(first.RequestURI) {
		return first, true
	}
	return r, h.Portal || gateway.Owns(r.RequestURI)
}

// asSent is a request with the method and the address that came over the wire.
func asSent(r *http.Request) *http.Request {
	first, known := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !known || first.URL == nil || first.RequestURI == r.RequestURI && first.Method == r.Method {
		return r
	}
	sent, address := *r, *first.URL
	sent.Method, sent.RequestURI, sent.URL = first.Method, first.RequestURI, &address
	return &sent
}

// refuse hands a refusal to the site's error routes, or writes it.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, f *proxy.Refusal) error {
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	failure := caddyhttp.Error(f.Status, f)
	// Caddy takes rewrites back before it looks for an error route.
	if server != nil && server.Errors != nil && handles(server.Errors.Routes, server.Errors.WithError(asSent(r), failure)) {
		web.SetRetryAfter(w.Header(), f.Wait)
		w.Header().Set("Cache-Control", "no-store")
		// The error routes may ask an application, which sees no credential of ours,
		// and which no header may send to another page than the error's.
		web.StripMethodOverrides(r.Header)
		web.StripPathOverrides(r.Header)
		web.StripCookies(r.Header)
		delete(r.Header, "Authorization")
		return failure
	}
	if h.route == nil {
		web.WriteProblem(w, f.Status, f.Code, f.Text, f.Wait)
		return nil
	}
	h.route.Refuse(w, r, f)
	return nil
}

// handles reports whether a route would answer this error. A site without error
// routes would be a blank page because another site has some.
func handles(routes caddyhttp.RouteList, r *http.Request) bool {
	for i := range routes {
		match, err := routes[i].MatcherSets.AnyMatchWithError(r)
		if err != nil || !match {
			continue
		}
		for _, handler := range routes[i].Handlers {
			sub, nested := handler.(*caddyhttp.Subroute)
			if !nested || handles(sub.Routes, r) {
				return true
			}
		}
	}
	return false
}

// target says what goes on, after rewrites, and what the browser asked for.
func target(r *http.Request) (path, original string, ok bool) {
	path = r.URL.EscapedPath()
	first := asSent(r)
	original = first.RequestURI
	if !strings.HasPrefix(original, "/") { // absolute-form
		original = first.URL.RequestURI()
	}
	return path, original, path != "" && path[0] == '/'
}

// webSocket reports whether a CONNECT is the handshake of a WebSocket, told as
// reverse_proxy tells it. Other handlers refuse the method.
func webSocket(r *http.Request) bool {
	return r.ProtoMajor == 2 && r.Header.Get(":protocol") == "websocket" || r.ProtoMajor == 3 && r.Proto == "websocket"
}

// tell sets Caddy's placeholders for whoever was let in: logs and other modules
// read them. The texts are values, and never looked through for placeholders.
func tell(r *http.Request, d *guard.Decision) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	who := d.Identity
	if who == nil {
		// Nobody is an empty text, not the placeholder itself; but basic_auth may
		// have said who it is.
		for _, word := range [...]string{"id", "name", "email", "groups", "realm", "uuid"} {
			if _, set := repl.Get("http.auth.user." + word); !set {
				repl.Set("http.auth.user."+word, "")
			}
		}
		return
	}
	id := who.Name
	if !d.BareUser {
		id += "@" + who.Realm
	}
	repl.Set("http.auth.user.id", id)
	repl.Set("http.auth.user.name", web.HeaderText(who.FullName))
	repl.Set("http.auth.user.email", web.HeaderText(who.Email))
	repl.Set("http.auth.user.groups", strings.Join(who.Groups, ","))
	repl.Set("http.auth.user.realm", who.Realm)
	repl.Set("http.auth.user.uuid", who.ID.String())
}

// guarded keeps what stands behind from setting cookies of ours.
type guarded struct {
	*caddyhttp.ResponseWriterWrapper
	clean bool
}

func (w *guarded) drop() {
	if w.clean {
		return
	}
	if lines, ok := w.Header()["Set-Cookie"]; ok {
		kept := slices.DeleteFunc(slices.Clone(lines), web.OurCookie)
		if len(kept) == 0 {
			w.Header().Del("Set-Cookie")
		} else {
			w.Header()["Set-Cookie"] = kept
		}
	}
}

func (w *guarded) WriteHeader(status int) {
	w.drop()
	w.clean = w.clean || status >= 200 || status == http.StatusSwitchingProtocols
	w.ResponseWriterWrapper.WriteHeader(status)
}

func (w *guarded) Write(p []byte) (int, error) {
	w.drop()
	w.clean = true
	return w.ResponseWriterWrapper.Write(p)
}

func (w *guarded) ReadFrom(from io.Reader) (int64, error) {
	w.drop()
	w.clean = true
	return w.ResponseWriterWrapper.ReadFrom(from)
}

// FlushError sends the header, where that has not happened.
func (w *guarded) FlushError() error {
	w.drop()
	w.clean = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ http.ResponseWriter         = (*guarded)(nil)
)
