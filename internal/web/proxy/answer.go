package proxy

import (
	"net/http"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// answer writes what a decision that is not Allow means.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, req *guard.Request, d *guard.Decision) {
	switch d.Outcome {
	case guard.Challenge:
		h.challenge(w, r, req, d)
	case guard.BadRequest:
		h.refuse(w, r, http.StatusBadRequest, "request", "The request can be read in more than one way.", 0)
	case guard.MethodNotAllowed:
		h.refuse(w, r, http.StatusMethodNotAllowed, "method", "This method is not passed on.", 0)
	case guard.Throttled:
		h.refuse(w, r, http.StatusTooManyRequests, "throttled", "Too many wrong tries. Wait before the next one.", d.RetryAfter)
	case guard.Unavailable:
		h.o.Logger.ErrorContext(r.Context(), "guarded upstream: no decision", "error", d.Err)
		h.refuse(w, r, http.StatusServiceUnavailable, "unavailable", "The gateway cannot answer at this moment.", max(d.RetryAfter, time.Second))
	default:
		h.refuse(w, r, http.StatusForbidden, "forbidden", "You may not open this.", 0)
	}
}

// challenge sends a person to the login, and tells all others where it is.
func (h *Handler) challenge(w http.ResponseWriter, r *http.Request, req *guard.Request, d *guard.Decision) {
	header := w.Header()
	site, origin := h.o.Site(r.Host), ""
	if site.Portal != "" {
		origin = web.OwnOrigin(req.Scheme, req.Host)
	}
	header.Set("Location", site.LoginLocation(origin, original(r), req.Tighten, h.o.Clock()))
	if req.Navigation && !d.BadProof {
		status := http.StatusFound
		if web.Unsafe(r.Method) {
			status = http.StatusSeeOther
		}
		header.Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		return
	}
	web.Unauthorized(header, d, !web.SecFetch(r.Header))
	h.refuse(w, r, http.StatusUnauthorized, "unauthenticated", "Sign in first.", 0)
}

// original is the raw path and query.
func original(r *http.Request) string {
	path, _ := rawPath(r)
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return path + "?" + r.URL.RawQuery
	}
	return path
}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, status int, code, text string, wait time.Duration) {
	if !web.Navigation(r.Header) {
		web.WriteProblem(w, status, code, text, wait)
		return
	}
	header := w.Header()
	web.SecureHeaders(header)
	web.SetRetryAfter(header, wait)
	if h.o.ErrorPage != nil {
		h.o.ErrorPage(w, r, status, text)
		return
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
