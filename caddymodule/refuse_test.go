package caddymodule

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/sallyport-auth/sallyport/internal/web/proxy"
)

// What cannot be brought about from outside at will, a throttle and a store that
// does not answer, keeps its status and its Retry-After on both ways out.
func TestThrottledAndUnavailableArriveAsSuch(t *testing.T) {
	for _, status := range []int{429, 503} {
		for _, routes := range []caddyhttp.RouteList{nil, {{Handlers: []caddyhttp.MiddlewareHandler{caddyhttp.StaticResponse{}}}}} {
			site := &caddyhttp.Server{Errors: &caddyhttp.HTTPErrorConfig{Routes: routes}}
			w := httptest.NewRecorder()
			r := caddyhttp.PrepareRequest(httptest.NewRequest("GET", "/x", nil), caddy.NewReplacer(), w, site)
			err := new(Handler).refuse(w, r, &proxy.Refusal{Status: status, Code: "x", Text: "Wait.", Wait: 7 * time.Second})
			got := w.Code
			var handled caddyhttp.HandlerError
			if errors.As(err, &handled) {
				got = handled.StatusCode
			}
			if got != status || (err != nil) != (routes != nil) || w.Header().Get("Retry-After") != "7" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%d, error routes %v: %d %v %v", status, routes != nil, got, err, w.Header())
			}
		}
	}
}
