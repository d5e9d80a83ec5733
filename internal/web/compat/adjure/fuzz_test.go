package adjure_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/adjure"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
)

// Whatever is sent, nothing panics and nothing is our fault.
func FuzzRequests(f *testing.F) {
	for _, s := range [][4]string{
		{"POST", "/user/provision", `{"user_id": "a", "key_length": 8.0, "key_valid_duration": 1e3, "hash_algorithm": "SHA1"}`, "application/json"},
		{"POST", "/user/authenticate", `{"user_id": "a", "auth_code": "\u0661\u0000"}`, "text/plain"},
		{"POST", "/user/recovery/authenticate", `{"user_id": "\ud83d\ude00", "recovery_code": [[[{}]]], "recovery_code": "a-b"}`, ""},
		{"POST", "/user/recovery/regenerate", "{\"user_id\": \"\xff\"}x", "application/json; charset=utf-16"},
		{"GET", "/user/qrcode?issuer=%ff+&username=%&user_id=a&&=&;", "", ""},
		{"HEAD", "/user/auth_code?user_id=a", "", ""},
		{"ODD", "/user/%2e%2e/healthcheck", "\x00", "multipart/form-data"},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	w := compattest.New(f, map[string]account.Settings{"adjure": settings()})
	facade, err := adjure.New(adjure.Options{Rooms: w.Rooms, Common: compat.Common{Facade: "adjure", Realm: "adjure"}, CodeOracle: true})
	w.Must(err)
	f.Fuzz(func(t *testing.T, method, target, body, contentType string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || method == "" {
			return
		}
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Method, r.URL, r.RequestURI, r.Host, r.RemoteAddr = method, u, target, "127.0.0.1", "127.0.0.1:5000"
		r.Header.Set("Content-Type", contentType)
		answer := httptest.NewRecorder()
		facade.ServeHTTP(answer, r)
		if answer.Code >= 500 || answer.Code < 200 {
			t.Fatalf("%s %q %q: %d %s", method, target, body, answer.Code, answer.Body)
		}
		if length := answer.Body.Len(); answer.Header().Get("Content-Type") != "image/png" && length > 32<<10 {
			t.Fatalf("%s %q %q: an answer of %d bytes", method, target, body, length)
		}
	})
}
