// Package web holds what all handlers and shells share about bytes on the
// wire: which headers are identity and how they are removed and set, who the
// client is, which cookies are ours, where a request comes from, and the one
// function that turns an error into an answer.
//
// Package web decides nothing about who may pass: guard does. A shell calls
// Stripper.Strip first, on every branch, then asks the guard, then calls
// SetIdentity, StripCookies and StripAuthorization.
package web

import (
	"net/http"
	"slices"
	"strings"
)

// Prefix is the path below which the gateway answers by itself.
const Prefix = "/sallyport/"

// Navigation reports whether a person waits for a page: Sec-Fetch-Mode says
// navigate or, without any Sec-Fetch header, Accept has text/html and no
// script put X-Requested-With.
func Navigation(h http.Header) bool {
	if mode, sent := h["Sec-Fetch-Mode"]; sent {
		return len(mode) == 1 && mode[0] == "navigate"
	}
	if SecFetch(h) || len(h["X-Requested-With"]) > 0 {
		return false
	}
	for _, accept := range h["Accept"] {
		if strings.Contains(accept, "text/html") {
			return true
		}
	}
	return false
}

// SecFetch reports whether a browser told how the request came about.
func SecFetch(h http.Header) bool {
	return len(h["Sec-Fetch-Mode"]) > 0 || len(h["Sec-Fetch-Site"]) > 0 || len(h["Sec-Fetch-Dest"]) > 0 || len(h["Sec-Fetch-User"]) > 0
}

// Preflight reports whether a request is a CORS preflight (Fetch standard,
// section 3.2.2). Browsers leave neither of the two empty.
func Preflight(method string, h http.Header) bool {
	one := func(name string) bool { return len(h[name]) == 1 && h[name][0] != "" }
	return method == http.MethodOptions && one("Origin") && one("Access-Control-Request-Method")
}

// Scheme is the scheme of a request that reached this process directly.
func Scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// SecureHeaders sets what every page and answer of ours carries. Pages that
// need more than text may widen Content-Security-Policy afterwards.
func SecureHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
}

// methodOverrides are the headers by which frameworks let a client say another
// method than it uses.
var methodOverrides = [...]string{"xhttpmethodoverride", "xhttpmethod", "xmethodoverride", "httpmethodoverride"}

// MethodOverrides reports whether a header would change the method behind us,
// in any spelling.
func MethodOverrides(h http.Header) bool {
	for name := range h {
		if overrides(name) {
			return true
		}
	}
	return false
}

// StripMethodOverrides removes such headers.
func StripMethodOverrides(h http.Header) {
	for name := range h {
		if overrides(name) {
			delete(h, name)
		}
	}
}

func overrides(name string) bool {
	if len(name) < len("X-Http-Method") {
		return false
	}
	for _, o := range methodOverrides {
		if sameLetters(name, o) {
			return true
		}
	}
	return false
}

// pathOverrides are headers from which a framework behind us takes the path, as
// letters.
var pathOverrides = [...]string{
	"xoriginalurl", "xoriginaluri", "xoriginalpath", "xrewriteurl", "xrewriteuri", "xforwardeduri", "xforwardedurl", "xforwardedpath", "xenvoyoriginalpath",
}

func overridesPath(name string) bool {
	if first(name) != 'x' {
		return false
	}
	for _, o := range pathOverrides {
		if sameLetters(name, o) {
			return true
		}
	}
	return false
}

// OnlyWebSocket leaves the one upgrade that carries no requests of its own: h2c would
// be a tunnel for requests that nobody judged.
func OnlyWebSocket(h http.Header) {
	delete(h, "Http2-Settings")
	if !Tunnel(h) {
		return
	}
	delete(h, "Upgrade")
	h["Connection"] = slices.DeleteFunc(strings.FieldsFunc(strings.Join(h["Connection"], ","), func(r rune) bool { return r == ',' || r == ' ' }),
		func(token string) bool { return strings.EqualFold(token, "upgrade") })
	if len(h["Connection"]) == 0 {
		delete(h, "Connection")
	}
}

// Tunnel reports whether a request asks for an upgrade to anything but a WebSocket.
func Tunnel(h http.Header) bool {
	v, ok := h["Upgrade"]
	return ok && (len(v) != 1 || !strings.EqualFold(v[0], "websocket"))
}

// StripPathOverrides removes such headers, in any spelling.
func StripPathOverrides(h http.Header) {
	for name := range h {
		if overridesPath(name) {
			delete(h, name)
		}
	}
}

// Early reports whether a request came as early data, which whoever recorded it
// can send again (RFC 8470).
func Early(r *http.Request) bool { return r.TLS != nil && !r.TLS.HandshakeComplete }
