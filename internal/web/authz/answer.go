package authz

import (
	"net/http"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// Header values that all answers share, so that none is made for each. They are
// arrays, and full: who adds a value to a header makes a slice of his own.
var (
	noStore = [1]string{"no-store"}
	empty   = [1]string{""}
	removed = [1]string{"removed"}
)

// authorizationHeader says of a 200 that its empty Authorization is there: nginx
// and Caddy cannot tell an empty header of an answer from a missing one.
const authorizationHeader = "Sallyport-Authorization"

// answer writes what the decision means. The only 2xx of this package is in
// allow.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, k kind, site *web.LoginSite, o *original, req *guard.Request, d *guard.Decision) {
	switch d.Outcome {
	case guard.Allow:
		h.allow(w, r, o, req, d)
	case guard.Challenge:
		h.challenge(w, r, k, site, o, req, d)
	case guard.BadRequest:
		refuse(w, r, http.StatusBadRequest, "original_request", "The request can be read in more than one way.", 0)
	case guard.MethodNotAllowed:
		refuse(w, r, http.StatusMethodNotAllowed, "method", "This method is not passed on.", 0)
	case guard.Throttled:
		refuse(w, r, http.StatusTooManyRequests, "throttled", "Too many wrong tries. Wait before the next one.", d.RetryAfter)
	case guard.Unavailable:
		h.o.Logger.ErrorContext(r.Context(), "authz endpoint could not decide", "error", d.Err)
		refuse(w, r, http.StatusServiceUnavailable, "unavailable", "The gateway cannot answer at this moment.", max(d.RetryAfter, time.Second))
	default:
		refuse(w, r, http.StatusForbidden, "forbidden", "You may not open this.", 0)
	}
}

func (h *Handler) allow(w http.ResponseWriter, r *http.Request, o *original, req *guard.Request, d *guard.Decision) {
	// A 2xx would send the gateway's own paths to the upstream, by one reading
	// of them or another.
	switch own, err := guard.Below(o.path, web.Prefix); {
	case err != nil:
		refuse(w, r, http.StatusBadRequest, "original_request", "The request can be read in more than one way.", 0)
		return
	case own:
		refuse(w, r, http.StatusForbidden, "reserved", "This path is the gateway's own: send it there without asking.", 0)
		return
	}
	if d.MethodAware && web.MethodOverrides(r.Header) {
		refuse(w, r, http.StatusBadRequest, "method", "A header would change the method that the rules looked at.", 0)
		return
	}
	cookie := web.CookieWithoutOurs(r.Header)
	if len(cookie) > maxCookie {
		refuse(w, r, http.StatusRequestHeaderFieldsTooLarge, "cookies", "The request carries more than 8 KiB of cookies.", 0)
		return
	}
	assertion := ""
	if d.Assertion != guard.AssertionNone && d.Identity != nil {
		var err error
		if assertion, err = h.sign(o, d); err != nil {
			h.o.Logger.ErrorContext(r.Context(), "authz endpoint could not sign an assertion", "error", err)
			refuse(w, r, http.StatusServiceUnavailable, "unavailable", "The gateway cannot answer at this moment.", time.Second)
			return
		}
	}
	header := w.Header()
	web.SetIdentity(header, d, assertion)
	if cookie == "" {
		header["Cookie"] = empty[:]
	} else {
		header["Cookie"] = []string{cookie}
	}
	// Also a credential of ours that a good cookie left unread: it is worth as
	// much to the application as one that was judged.
	if d.Judged || req.Authorization != "" && !req.CookieOnly && h.o.Guard.Ours(r.Context(), req.Authorization) {
		header["Authorization"] = empty[:]
		header[authorizationHeader] = removed[:]
	}
	w.WriteHeader(http.StatusOK)
}

func (h *Handler) sign(o *original, d *guard.Decision) (string, error) {
	if h.o.Assertion == nil {
		return "", errNoSigner
	}
	return h.o.Assertion(d.Live, web.OwnOrigin(o.scheme, o.host), string(d.Assertion))
}

// challenge sends to the login. A bad proof of ours is a 401 whoever asks; so
// is everything that is not a person waiting for a page.
func (h *Handler) challenge(w http.ResponseWriter, r *http.Request, k kind, site *web.LoginSite, o *original, req *guard.Request, d *guard.Decision) {
	header := w.Header()
	location := site.Location(r.Header, o.scheme, web.OwnOrigin(o.scheme, o.host), o.uri, o.tighten, h.o.Clock())
	header.Set("Location", web.WithUnsent(location, o.method))
	if req.Navigation && !d.BadProof && k != authRequest {
		status := http.StatusFound
		if web.Unsafe(o.method) {
			status = http.StatusSeeOther
		}
		w.WriteHeader(status)
		return
	}
	web.Unauthorized(header, d, !req.CookieOnly && !web.SecFetch(r.Header))
	refuse(w, r, http.StatusUnauthorized, "unauthenticated", "Sign in first.", 0)
}

func refuse(w http.ResponseWriter, r *http.Request, status int, code, text string, wait time.Duration) {
	if web.Navigation(r.Header) {
		header := w.Header()
		header.Set("Content-Type", "text/plain; charset=utf-8")
		header.Set("X-Content-Type-Options", "nosniff")
		web.SetRetryAfter(header, wait)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text + "\n"))
		return
	}
	web.WriteProblem(w, status, code, text, wait)
}
