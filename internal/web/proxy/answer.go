package proxy

import (
	"net/http"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// Refusal is what a request that may not pass is answered.
type Refusal struct {
	Status int
	Code   string        // stable, for programs
	Text   string        // a sentence that holds nothing of the request
	Wait   time.Duration // what Retry-After says; 0: nothing
}

// Error makes a Refusal an error for shells that carry on with one.
func (r *Refusal) Error() string { return r.Text }

func refuse(status int, code, text string, wait time.Duration) *Refusal {
	return &Refusal{Status: status, Code: code, Text: text, Wait: wait}
}

// answer is what a decision that is not Allow means. Nil: it was written.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, req *guard.Request, original string, d *guard.Decision) *Refusal {
	switch d.Outcome {
	case guard.Challenge:
		return h.challenge(w, r, req, original, d)
	case guard.BadRequest:
		return refuse(http.StatusBadRequest, "request", "The request can be read in more than one way.", 0)
	case guard.MethodNotAllowed:
		return refuse(http.StatusMethodNotAllowed, "method", "This method is not passed on.", 0)
	case guard.Throttled:
		return refuse(http.StatusTooManyRequests, "throttled", "Too many wrong tries. Wait before the next one.", d.RetryAfter)
	case guard.Unavailable:
		h.o.Logger.ErrorContext(r.Context(), "guarded upstream: no decision", "error", d.Err)
		return refuse(http.StatusServiceUnavailable, "unavailable", "The gateway cannot answer at this moment.", max(d.RetryAfter, time.Second))
	}
	return refuse(http.StatusForbidden, "forbidden", "You may not open this.", 0)
}

// challenge sends a person to the login, and tells all others where it is.
func (h *Handler) challenge(w http.ResponseWriter, r *http.Request, req *guard.Request, original string, d *guard.Decision) *Refusal {
	header := w.Header()
	site, origin, demand := h.o.Site(r.Host), "", req.Tighten
	if h.o.Demands {
		demand = d.Demand
	}
	if site.Portal != "" {
		origin = web.OwnOrigin(req.Scheme, req.Host)
	}
	location := site.Location(r.Header, req.Scheme, origin, original, demand, h.o.Clock())
	header.Set("Location", web.WithUnsent(location, r.Method))
	if req.Navigation && !d.BadProof {
		status := http.StatusFound
		if web.Unsafe(r.Method) {
			status = http.StatusSeeOther
		}
		header.Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		return nil
	}
	web.Unauthorized(header, d, !web.SecFetch(r.Header))
	return refuse(http.StatusUnauthorized, "unauthenticated", "Sign in first.", 0)
}

// Refuse writes a refusal: a page for a person, a problem document for all others.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, f *Refusal) {
	if !web.Navigation(r.Header) {
		web.WriteProblem(w, f.Status, f.Code, f.Text, f.Wait)
		return
	}
	header := w.Header()
	web.SecureHeaders(header)
	web.SetRetryAfter(header, f.Wait)
	if h.o.ErrorPage != nil {
		h.o.ErrorPage(w, r, f.Status, f.Text)
		return
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(f.Text + "\n"))
}
