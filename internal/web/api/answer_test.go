package api

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// A failure of ours is told apart from an answer, and says nothing about itself.
func TestFailuresSayNothingAboutThemselves(t *testing.T) {
	for _, c := range []struct {
		err     error
		status  int
		code    string
		retry   string
		failure bool
	}{
		{errors.New("badger: /secret/path is broken"), 500, "failed", "", true},
		{fmt.Errorf("open: %w", store.ErrNoSpace), 503, "no_space", "5", true},
		{store.ErrClosed, 503, "unavailable", "5", true},
		{context.Canceled, 503, "unavailable", "5", true},
		{&secret.Busy{RetryAfter: 1500 * time.Millisecond}, 503, "busy", "2", false},
		{&throttle.Throttled{RetryAfter: time.Millisecond}, 429, "throttled", "1", false},
		{&secret.WeakPassword{Reason: "Choose another."}, 422, "weak_password", "", false},
		{fmt.Errorf("%w: \"CaNaRy\"", account.ErrInvalid), 422, "invalid", "", false},
		{fmt.Errorf("update: %w", account.ErrVersion), 409, "version", "", false},
		{forbidden(), 403, "forbidden", "", false},
	} {
		p, failure := answer(c.err)
		if p.Status != c.status || p.Code != c.code || p.header.Get("Retry-After") != c.retry {
			t.Errorf("%v: %+v", c.err, p)
		}
		if failure != c.failure {
			t.Errorf("%v: failure %v", c.err, failure)
		}
		rec := httptest.NewRecorder()
		p.write(rec)
		if rec.Code != c.status || rec.Header().Get("Content-Type") != problemType || strings.Contains(rec.Body.String(), "CaNaRy") || strings.Contains(rec.Body.String(), "secret/path") {
			t.Errorf("%v: %d %v %s", c.err, rec.Code, rec.Header(), rec.Body)
		}
	}
}
