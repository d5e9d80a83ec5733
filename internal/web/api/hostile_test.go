package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/web/api"
)

// endless gives the same bytes for ever and counts them.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '['
	}
	e.read += len(p)
	return len(p), nil
}

// Attack (CVE-2026-50285): a stranger sends a body that does not end, or that
// nests without end, to a call that needs no proof. No call reads more than
// 64 KiB of it.
func TestD6StrangersSendBodiesWithoutEnd(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for _, route := range w.api.Routes() {
		if route.Who != api.Anyone && route.Who != api.OwnerOrEnrolling {
			continue
		}
		body := &endless{}
		r := httptest.NewRequestWithContext(t.Context(), route.Method, "https://auth.example.com"+api.Prefix+fill(route.Path), body)
		r.Header.Set("Content-Type", "application/json")
		if a := w.serve(w.api, r).want(413); !route.OAuth {
			a.want(413, "too_large")
		}
		if body.read > 256<<10 {
			t.Errorf("%s %s read %d bytes", route.Method, route.Path, body.read)
		}
		for _, bomb := range []string{strings.Repeat("[", 60<<10), strings.Repeat(`{"a":`, 12<<10), `{"name":` + strings.Repeat("[", 9<<10) + strings.Repeat("]", 9<<10) + `}`} {
			if a := w.stranger().send(route.Method, fill(route.Path), bomb); a.status != 400 && a.status != 422 {
				t.Errorf("%s %s: %v", route.Method, route.Path, a)
			}
		}
	}
	// A body that breaks off is no body.
	r := httptest.NewRequestWithContext(t.Context(), "POST", "https://auth.example.com"+api.Prefix+"/login", io.MultiReader(strings.NewReader(`{"name":`), broken{}))
	r.Header.Set("Content-Type", "application/json")
	w.serve(w.api, r).want(400, "malformed")
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Attack (CVE-2026-27589): a page in the administrator's browser posts to the
// local administration, which asks for no proof. It speaks to no browser.
func TestS10LocalAdministrationRefusesBrowsers(t *testing.T) {
	w := newWorld(t, worldOptions{})
	body := map[string]any{"realm": "users", "name": "mallory"}
	for _, page := range [][]string{{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Origin", "http://localhost"}, {"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Mode", "no-cors"}} {
		w.admin().saying(page...).send("POST", "/users", body).want(403, "foreign_origin")
		w.admin().saying(page...).send("POST", "/setup-link", nil).want(403, "foreign_origin")
		w.admin().saying(page...).send("GET", "/users", nil).want(403, "foreign_origin")
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
		w.admin().saying("Content-Type", kind).send("POST", "/users", body).want(415, "not_json")
	}
	w.admin().send("GET", "/users/users/mallory", nil).want(404, "unknown_user")
}

// Attack (GHSA-qgqp-xh8r-v73r): the enrolment is asked to be somebody else's.
// Whose it is comes from the session or the ephemeral token alone.
func TestM6WhoseFactorItIsComesFromTheProof(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.someone("victim@users")
	p := w.someone("mallory@users")
	token := p.halfway().text("ephemeral_token")
	for _, extra := range []string{"name", "realm", "user", "id", "principal", "email", "method"} {
		body := map[string]any{"ephemeral_token": token, extra: "victim"}
		w.stranger().send("POST", "/me/methods/totp/activate", body).want(422, "invalid")
		w.stranger().send("POST", "/me/methods/totp/activate?"+extra+"=victim", map[string]any{"ephemeral_token": token}).want(422, "invalid")
	}
	a := w.stranger().send("POST", "/me/methods/totp/activate", map[string]any{"ephemeral_token": token}).want(200)
	if uri := a.text("otpauth_uri"); !strings.Contains(uri, "mallory") || strings.Contains(uri, "victim") {
		t.Errorf("uri: %s", uri)
	}
	other := w.member("bert@users").visit()
	other.send("GET", "/users/users/mallory/totp/qr.png", nil).want(http.StatusForbidden, "forbidden")
}
