package trench

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// What fails is said in the original's form, and its reason stands in the log alone.
func TestErrorsInTheOriginalsForm(t *testing.T) {
	for _, row := range []struct {
		err    error
		status int
		body   string
		wait   string
		logged bool
	}{
		{errors.New("boom"), 500, `{"detail":"A server error occurred."}`, "", true},
		{store.ErrClosed, 503, `{"detail":"The gateway cannot answer at this moment."}`, "", true},
		{&secret.Busy{RetryAfter: 1500 * time.Millisecond}, 503, `{"detail":"Too many people sign in at this moment. Try again."}`, "2", false},
		{&throttle.Throttled{RetryAfter: 2 * time.Second}, 429, `{"detail":"Request was throttled. Expected available in 2 seconds."}`, "2", false},
		{&throttle.Throttled{RetryAfter: time.Millisecond}, 429, `{"detail":"Request was throttled. Expected available in 1 second."}`, "1", false},
		{&throttle.Throttled{Cause: throttle.CauseClosed}, 429, `{"detail":"Too many wrong codes: use a backup code, or ask your administrator."}`, "", false},
		{login.ErrDenied, 401, `{"detail":"Invalid token."}`, "", false},
		{account.ErrUnknownUser, 401, `{"detail":"Invalid token."}`, "", false},
		{account.ErrNotFresh, 403, `{"detail":"Prove your second factor again first."}`, "", false},
		{login.ErrEnrollmentClosed, 400, `{"error":"Setting up a second factor needs an invitation: ask your administrator."}`, "", false},
		{failed("x"), 400, `{"error":"x"}`, "", false},
	} {
		var log strings.Builder
		f := &Facade{log: slog.New(slog.NewTextHandler(&log, nil))}
		w := httptest.NewRecorder()
		f.of(&call{r: httptest.NewRequest(http.MethodPost, "/auth/logout/", nil), route: &routes[0], scheme: drfToken}, row.err).write(w)
		if w.Code != row.status || w.Body.String() != row.body || w.Header().Get("Retry-After") != row.wait || (log.Len() > 0) != row.logged {
			t.Errorf("%v: %d %q %s, logged %q", row.err, w.Code, w.Header().Get("Retry-After"), w.Body, log.String())
		}
	}
}
