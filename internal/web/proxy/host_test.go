package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// A stranger names a site in letters that our rules map (a wide o, a soft
// hyphen, an ideographic full stop) and the upstream does not. Gained before: the
// rules saw an open host, and the upstream's default site, which is behind two
// doors, answered.
func TestR13HostThatOnlyWeMapReachesNobody(t *testing.T) {
	h := build(t, nil, nil)
	for _, host := range []string{
		"%EF%BD%8Fpen.example", "op%C2%ADen.example", "open%E3%80%82example", "\uff4fpen.example", "open\u3002example", "o\u0070\u00adpen.example", "bücher.example",
	} {
		res, _ := h.raw(t, "GET http://"+host+"/x HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		if _, passed := h.passed(); passed || res != nil && res.StatusCode < 400 {
			t.Errorf("%q reached the upstream", host)
		}
	}
}

// What goes on is the host that the rules saw: an upstream that takes
// "open.example." for another site than "open.example" must not choose again.
func TestR1UpstreamSeesTheHostThatTheRulesSaw(t *testing.T) {
	h := build(t, nil, nil)
	for _, host := range []string{"open.example", "OPEN.example", "open.example.", "Open.Example.:8080"} {
		h.ask(t, "GET", "/x", host, "")
		s, passed := h.passed()
		want := "open.example"
		if strings.HasSuffix(host, ":8080") {
			want += ":8080"
		}
		if !passed || s.Host != want || s.Header.Get("X-Forwarded-Host") != want {
			t.Errorf("%q: passed %v, the upstream sees %q, X-Forwarded-Host %q", host, passed, s.Host, s.Header.Get("X-Forwarded-Host"))
		}
	}
}

// A credential, or a field of framing, that comes after the body: an upstream
// that merges trailers into headers would believe it.
func TestH2TrailersCarryNoCredentialsAndNoFraming(t *testing.T) {
	h := build(t, nil, nil)
	h.raw(t, "POST /x HTTP/1.1\r\nHost: open.example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: Cookie, Authorization, X-Checksum, Remote-User\r\n\r\n"+
		"1\r\na\r\n0\r\nCookie: sallyport_session=sps_x\r\nAuthorization: Bearer x\r\nX-Checksum: good\r\nRemote-User: admin\r\nX-Unannounced: y\r\nHost: evil\r\nContent-Length: 5\r\nUpgrade: h2c\r\nProxy-Authorization: x\r\n\r\n")
	s, passed := h.passed()
	if !passed || s.Trailer.Get("X-Checksum") != "good" {
		t.Fatalf("passed %v, trailers %v: the announced one is lost", passed, s.Trailer)
	}
	if len(s.Trailer) != 1 {
		t.Errorf("trailers that reach the upstream: %v", s.Trailer)
	}
}

// HTTP/2 lets a raw space into :path, and HTTP/1 ends the target of a request
// line there: an upstream that reads "GET /secret HTTP/1.1 HTTP/1.1" serves
// /secret, which the rule for /secret never saw. The query is no better.
func TestR5SpaceInTheTargetIsRefused(t *testing.T) {
	h := build(t, nil, nil)
	for _, target := range []string{"/secret HTTP/1.1", "/a b", "/a?b c", "/a\tb", "/a\x7f"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host, r.RequestURI, r.URL = "open.example", target, &url.URL{Path: target}
		w := httptest.NewRecorder()
		h.front.Config.Handler.ServeHTTP(w, r)
		if _, passed := h.passed(); passed || w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d, passed %v", target, w.Code, passed)
		}
	}
}
