package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/proxy"
)

// BenchmarkGuard is all that guarding costs a request of a living session, inside a
// server that passes it on by itself; the index of sessions is measured elsewhere.
func BenchmarkGuard(b *testing.B) {
	s := &sessions{live: map[string]session.Live{"alice": person("alice", "ops")}, subs: map[string]map[int]func(bool){}}
	rules, err := guard.Compile([]guard.Rule{{Realms: []string{"users"}}}, guard.CompileOptions{})
	if err != nil {
		b.Fatal(err)
	}
	check, err := guard.New(guard.Options{Rules: rules, Sessions: s})
	if err != nil {
		b.Fatal(err)
	}
	site := &web.LoginSite{}
	h, err := proxy.New(proxy.Options{Guard: check, Site: func(string) *web.LoginSite { return site }, Subscribe: s.Subscribe, KeepForwarded: true})
	if err != nil {
		b.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "http://app.example.com/report?x=1", nil)
	pass := func(http.ResponseWriter, *http.Request, *guard.Decision) {}
	b.ReportAllocs()
	for b.Loop() {
		r.Header["Cookie"] = []string{"theme=dark; sallyport_session=alice"}
		if refusal := h.Guard(w, r, pass); refusal != nil {
			b.Fatal(refusal)
		}
	}
}
