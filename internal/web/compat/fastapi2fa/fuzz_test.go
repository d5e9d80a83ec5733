package fastapi2fa_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// Whatever is sent, nothing crashes and nothing is a failure of ours.
func FuzzRequests(f *testing.F) {
	for _, seed := range [][4]string{
		{"POST", "/auth/signup", `{"email":"a@b.example","full_name":"\ud800","password":"\u0000","tfa_enabled":1,"device":{"device_type":"code_generator"}}`, "application/json"},
		{"POST", "/auth/signup", `{"email":{},"email":[[[[`, ""},
		{"POST", "/auth/login", "username=%zz&password=%00&grant_type=\xff", "application/x-www-form-urlencoded"},
		{"POST", "/auth/login", "--b\r\nContent-Disposition: form-data; name=\"username\"; filename=x\r\n\r\n\x00\r\n--b--", "multipart/form-data; boundary=b"},
		{"POST", "/auth/refresh", `{"refresh_token":"a.b.c"} x`, "application/json"},
		{"POST", "/tfa/login_tfa?tfa_token=%ff&tfa_token", "", ""},
		{"POST", "/tfa/recover_tfa?tfa_backup_token=1", "", ""},
		{"PUT", "/tfa/enable_tfa/?\x7f", "[1e999]", "application/x+json"},
		{"GET", "/tasks/taskstatus?task_id=\xff", "", ""},
		{"GET", "//", "", ""},
	} {
		f.Add(seed[0], seed[1], []byte(seed[2]), seed[3])
	}
	h := newHouse(f)
	ann := h.User("ann", realm, "ann@example.com", password)
	access := h.pair(h.login(ann.Email, password), 200).Access
	pre := h.pre(h.person("bob"))
	f.Fuzz(func(t *testing.T, method, target string, body []byte, kind string) {
		u, err := url.ParseRequestURI(api + target)
		if err != nil {
			return // no target of a request
		}
		for _, token := range []string{access, pre} {
			r := &http.Request{
				Method: method, URL: u, RequestURI: api + target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "127.0.0.1", RemoteAddr: "127.0.0.1:9",
				Header: http.Header{"Content-Type": {kind}, "Authorization": {"Bearer " + token}}, Body: io.NopCloser(bytes.NewReader(body)),
			}
			w := httptest.NewRecorder()
			h.facade.ServeHTTP(w, r)
			if noMail := method == "GET" && u.EscapedPath() == api+"/tasks/test-celery"; w.Code >= 500 && !noMail {
				t.Errorf("%q %q: %d %s", method, target, w.Code, w.Body)
			}
		}
	})
}
