package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/factor/yubico/yubicotest"
	"github.com/sallyport-auth/sallyport/internal/gateway"
)

// asking is a gateway whose people's YubiKeys are judged by these servers.
func asking(t *testing.T, servers ...*yubicotest.Server) *world {
	t.Helper()
	y := &gateway.YubiKey{ClientID: servers[0].ClientID, Key: servers[0].Key}
	for _, s := range servers {
		y.Servers = append(y.Servers, s.URL)
	}
	return open(t, gateway.Config{YubiKey: y, Realms: map[string]gateway.Realm{"users": {Methods: []string{"totp", "yubikey"}}}})
}

// half passes the first door by the API and returns what the second one wants.
func (b *browser) half(p *person) string {
	b.w.t.Helper()
	first := b.api("POST", "/login", map[string]any{"name": p.name, "realm": p.realm, "password": p.password}).fields(b.w.t)
	token, _ := first["ephemeral_token"].(string)
	if first["status"] != "second_factor" || token == "" {
		b.w.t.Fatalf("first door: %v", first)
	}
	return token
}

// code passes the second door with what a YubiKey typed.
func (b *browser) code(token, text string) *answer {
	b.w.t.Helper()
	return b.api("POST", "/login/code", map[string]any{"ephemeral_token": token, "code": text})
}

// typist is a person who has set up this YubiKey beside an authenticator.
func (w *world) typist(name string, key *yubicotest.Key) *person {
	w.t.Helper()
	p := w.user(name, "users")
	b := w.browser(w.here())
	bearer := http.Header{"Authorization": {"Bearer " + b.tokens(p)["access_token"].(string)}}
	what := map[string]any{"add": true, "label": "Blue"}
	wantStatus(w.t, b.api("POST", "/me/methods/yubikey/activate", what, bearer), 200)
	wantStatus(w.t, b.api("POST", "/me/methods/yubikey/confirm", map[string]any{"code": key.Press()}, bearer), 200)
	return p
}

// From the configuration to the second door, by the protocol of Yubico's servers: what
// the key types opens it once, however the keyboard sends it. Whoever noted one, has
// another key, or makes one up, is refused, and his tries count.
func TestYubiKeysJudgedByServers(t *testing.T) {
	key, stranger := yubicotest.NewKey(), yubicotest.NewKey()
	server := yubicotest.New(t, key, stranger)
	w := asking(t, server)
	alice := w.typist("alice", key)
	b := w.browser(w.here())

	noted := key.Press()
	used := key.Press()
	wantStatus(t, b.code(b.half(alice), used), 200)
	wantStatus(t, b.code(b.half(alice), noted), 401)
	for _, text := range []string{strings.ToUpper(key.Press()), " " + key.Press() + "\r\n"} {
		wantStatus(t, b.code(b.half(alice), text), 200)
	}
	before := server.Asked()
	for what, text := range map[string]string{"another key": stranger.Press(), "what is none": key.Press() + "c"} {
		if a := b.code(b.half(alice), text); a.status != 401 {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	if n := server.Asked() - before; n != 0 {
		t.Errorf("%d questions about keys of others", n)
	}

	// A new person, who has wrong tries of his own to count.
	other := yubicotest.NewKey()
	server = yubicotest.New(t, other)
	w = asking(t, server)
	bob := w.typist("bob", other)
	b = w.browser(w.here())
	noted, used = other.Press(), other.Press()
	wantStatus(t, b.code(b.half(bob), used), 200)
	wantStatus(t, b.code(b.half(bob), used), 401)
	wantStatus(t, b.code(b.half(bob), noted), 401)
	forged := yubicotest.NewKey()
	forged.Public = other.Public
	for range 3 {
		wantStatus(t, b.code(b.half(bob), forged.Press()), 401)
	}
	if a := b.code(b.half(bob), forged.Press()); a.status != 429 {
		t.Errorf("the sixth wrong try: %d %s", a.status, a.body)
	}
}

// Yubico's servers are down, or somebody stands between and answers in their place. Nobody
// passes by a YubiKey, and nobody who tries is locked out for it: the other ways stay open.
func TestYubiKeysWhileServersAreDown(t *testing.T) {
	key := yubicotest.NewKey()
	first, second := yubicotest.New(t, key), yubicotest.New(t, key)
	second.Share(first)
	w := asking(t, first, second)
	alice := w.typist("alice", key)
	b := w.browser(w.here())

	down := func(r http.ResponseWriter, _ *http.Request) { r.WriteHeader(http.StatusBadGateway) }
	first.Replace(down)
	wantStatus(t, b.code(b.half(alice), key.Press()), 200)
	lie := func(r http.ResponseWriter, q *http.Request) {
		_, _ = r.Write([]byte("status=OK\r\notp=" + q.URL.Query().Get("otp") + "\r\nnonce=" + q.URL.Query().Get("nonce") + "\r\n"))
	}
	for _, h := range []http.HandlerFunc{down, lie} {
		second.Replace(h)
		token := b.half(alice)
		for range 10 {
			text := key.Press()
			a := b.code(token, text)
			if a.status != 503 || !strings.Contains(a.body, "unchecked") {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if strings.Contains(w.log.String(), text) {
				t.Fatal("the log holds a one-time password that nobody has taken")
			}
		}
		wantStatus(t, b.code(token, alice.code()), 200)
	}
	first.Replace(nil)
	wantStatus(t, b.code(b.half(alice), key.Press()), 200)
}
