package gateway_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
)

// Attack: a laptop with a trusted browser is stolen, and its owner's password is known.
// The thief reaches what asks for two factors; an application that asks who that was
// reads it, a rule that wants a fresh factor, and every change of the account, ask for a
// code. A restart changes nothing of that, and the application behind never sees the
// token, though the browser sends it along.
func TestATrustedBrowserPassesTwoFactorsAndNothingMore(t *testing.T) {
	w, _ := guarding(t, guard.Rule{Name: "pay", Hosts: []string{"pay.example.com"}, Realms: []string{"users"}, Fresh: guard.Duration(time.Hour)},
		guard.Rule{Name: "told", Hosts: []string{"told.example.com"}, Realms: []string{"users"}, Assertion: guard.AssertionEdDSA})
	p := w.user("carol", "users")
	for _, host := range []string{"pay.example.com", "told.example.com"} {
		b := w.browser("http://" + host)
		next := b.firstDoor(p, nil).header.Get("Location")
		wantStatus(t, b.post(next, url.Values{"code": {p.code()}, "trust": {"yes"}}), http.StatusSeeOther)
		token := b.jar["sallyport_trusted"]
		if !strings.HasPrefix(token, "spd_") {
			t.Fatalf("%s: no trusted browser: %v", host, b.jar)
		}
		delete(b.jar, "sallyport_session")
		w.restart()
		if host == "pay.example.com" {
			if to := b.firstDoor(p, url.Values{"rd": {"/"}}).header.Get("Location"); !strings.HasPrefix(to, "/sallyport/login/code") {
				t.Errorf("a fresh factor is demanded, and the first door leads to %s", to)
			}
			b.firstDoor(p, nil)
			wantStatus(t, b.get("/"), http.StatusFound, http.StatusSeeOther)
			continue
		}
		if to := b.firstDoor(p, url.Values{"rd": {"/"}}).header.Get("Location"); to != "/" {
			t.Fatalf("the first door leads to %s", to)
		}
		seen := b.get("/").echo(t)
		claims := w.assertion(t, seen.Header.Get("Sallyport-Assertion"))
		amr, _ := claims["amr"].([]any)
		if len(amr) != 2 || amr[0] != "pwd" || amr[1] != "trusted" || claims["acr"] != "urn:sallyport:factors:2" {
			t.Errorf("assertion: %v", claims)
		}
		if strings.Contains(seen.Header.Get("Cookie"), "trusted") {
			t.Errorf("the application sees %v", seen.Header["Cookie"])
		}
		wantStatus(t, b.post("/sallyport/account/recovery-codes", url.Values{"code": {token[:20]}}), http.StatusUnauthorized)
	}
}
