package trench_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/trench"
)

// Whatever is sent, the answer is never a failure of ours.
func FuzzRequests(f *testing.F) {
	for _, s := range [][4]string{
		{"POST", "/auth/login/", `{"username":"a","password":"b"}`, "application/json"},
		{"POST", "/auth/login/code/", "ephemeral_token=%zz&code=1;2&&=", "application/x-www-form-urlencoded"},
		{"POST", "/auth/jwt/refresh/", `{"refresh":"a.b.c","refresh":1e999}`, "application/json; charset=\xff"},
		{"GET", "/auth/mfa/config", "", ""},
		{"POST", "/auth/%00/activate/", "[[[[[[{", "application/json"},
		{"POST", "/auth/app/deactivate/", "--x\r\nContent-Disposition: form-data; name=\"code\"\r\nContent-Transfer-Encoding: base64\r\n\r\n!\r\n", "multipart/form-data; boundary=x"},
		{"POST", "/auth/mfa/change-primary-method/", `{"method":{"a":[]},"code":"\ud800"}`, "application/json"},
		{"POST", "/auth/code/request/", "method=\x00", "application/x-www-form-urlencoded"},
		{"OPTIONS", "/auth//login/", "\xff", "text/plain"},
	} {
		f.Add(s[0], s[1], s[2], s[3], true)
		f.Add(s[0], s[1], s[2], s[3], false)
	}
	facades := map[bool]*trench.Facade{}
	auth := map[bool]string{}
	for old, dialect := range map[bool]compat.Dialect{true: compat.Dialect02, false: compat.Dialect03} {
		h := build(f, dialect)
		h.User("admin", "trench", "", password)
		auth[old] = h.login("/auth/token/", "admin")
		facade, err := trench.New(trench.Options{Rooms: h.Rooms, Common: compat.Common{Realm: "trench"}, Dialect: dialect})
		h.Must(err)
		facades[old] = facade
	}
	f.Fuzz(func(t *testing.T, method, path, body, kind string, old bool) {
		u, err := url.ParseRequestURI(path)
		if err != nil || !strings.HasPrefix(path, "/auth/") || strings.Contains(path, "logout") {
			return
		}
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Method, r.URL, r.RequestURI = method, u, path
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Authorization", auth[old])
		w := httptest.NewRecorder()
		facades[old].ServeHTTP(w, r)
		if w.Code >= 500 || w.Code < 200 {
			t.Fatalf("%s %q %q: %d %s", method, path, body, w.Code, w.Body)
		}
	})
}
