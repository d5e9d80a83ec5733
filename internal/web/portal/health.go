package portal

import (
	"errors"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// healthz says that the process answers.
func healthz(x *exchange) error { return x.plain(http.StatusOK, "ok\n") }

// readyz says whether the store answers.
func readyz(x *exchange) error {
	err := x.p.store.View(x.context(), func(tx store.Tx) error {
		_, err := tx.Get(store.K(store.PrefixMeta, "ready"))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		x.p.logger.Error("readiness: the store does not answer", "error", err)
		return x.plain(http.StatusServiceUnavailable, "the store does not answer\n")
	}
	return x.plain(http.StatusOK, "ok\n")
}

// jwks is the public half of the signing keys (RFC 7517).
func jwks(x *exchange) error {
	keys, err := x.p.sessions.JWKS()
	if err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(keys)
	}
	return nil
}
