package ungleich_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Whatever is sent, nothing fails here: no panic, and no answer of 500 or more.
func FuzzRequests(f *testing.F) {
	h := newHouse(f, nil)
	h.service("asker", askers)
	for _, seed := range [][4]string{
		{"POST", "/ungleichotp/verify/", `{"name":"asker","name":"\ud800","realm":"a\u0000","token":1e999,"verifyname":[[{}]]} {}`, "application/json"},
		{"GET", "/ungleichotp/18446744073709551616/", "auth_name=%ff&auth_realm=%00&auth_token=%", "application/x-www-form-urlencoded"},
		{"PATCH", "/ungleichotp/1", "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n\xff\r\n--b", "multipart/form-data; boundary=b"},
		{"DELETE", "/app/%zz", strings.Repeat(`{"a":`, 2000), "text/plain; \xff"},
		{"POST", "/verify", `{"version":"1","appid":"` + strings.Repeat("ü", 200) + `","token":"\u0000","appidtoverify":null}`, ""},
		{"POST", "/register", `{"name":"a\u0000","realm":"` + strings.Repeat("r", 600) + `","token":"1","username":"","appname":""}`, "application/json"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, method, path, body, contentType string) {
		raw, _, _ := strings.Cut(path, "?")
		if !h.facade.Owns(raw) {
			return
		}
		r := &http.Request{Method: method, URL: &url.URL{Path: raw}, RequestURI: path, Host: "localhost", RemoteAddr: "127.0.0.1:1",
			Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
		w := httptest.NewRecorder()
		h.facade.ServeHTTP(w, r.WithContext(t.Context()))
		if w.Code >= 500 || w.Code == 0 {
			t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	})
}
