package portal_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web/portal"
)

// What the rooms answer, as a person reads it; and nothing of what failed.
func TestErrorsBecomePages(t *testing.T) {
	h := build(t, plan{})
	for _, c := range []struct {
		err    error
		status int
		says   string
		retry  string
		logged bool
	}{
		{&secret.Busy{RetryAfter: 3 * time.Second}, 503, "Try again in 3 seconds", "3", false},
		{&throttle.Throttled{RetryAfter: 90*time.Second + 1, Cause: "principal"}, 429, "Try again in 91 seconds", "91", false},
		{&throttle.Throttled{Cause: throttle.CauseClosed}, 429, "Use a recovery code, or ask an administrator", "", false}, // no waiting helps
		{&throttle.Throttled{RetryAfter: time.Hour, Cause: throttle.CauseClosed}, 429, "Try again in", "3600", false},
		{fmt.Errorf("open: %w", store.ErrNoSpace), 503, "Try again", "1", true},
		{errors.New("disk /var/lib/x is on fire"), 500, "Something went wrong", "", true},
		{login.ErrDenied, 401, "This sign-in has ended", "", false},
		{login.ErrEnrollmentClosed, 403, "Ask an administrator", "", false},
		{factor.ErrNoPending, 409, "Nothing to confirm", "", false},
		{account.ErrVersion, 409, "Changed meanwhile", "", false},
		{account.ErrForbidden, 403, "Not allowed", "", false},
		{session.ErrNone, 303, "", "", false},
	} {
		before := h.log.Len()
		rec := httptest.NewRecorder()
		portal.FailForTest(h.portal, rec, httptest.NewRequest("GET", "/sallyport/account/", nil), c.err)
		logged := h.log.Len() > before
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.says) || rec.Header().Get("Retry-After") != c.retry ||
			logged != c.logged || strings.Contains(rec.Body.String(), "fire") {
			t.Errorf("%v: %d, Retry-After %q, logged %v\n%s", c.err, rec.Code, rec.Header().Get("Retry-After"), logged, rec.Body)
		}
	}
}
