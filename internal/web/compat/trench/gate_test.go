package trench_test

import (
	"encoding/base64"
	"net/netip"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/trench"
)

// Who is in no allowed network does not even learn which paths there are. A request
// that was forwarded is never of this host.
func TestForeignNetworks(t *testing.T) {
	h := buildWith(t, compat.Dialect03, compat.Common{AllowFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24")}})
	h.User("admin", "trench", "", password)
	refused := `{"detail":"This may not be called from there: allow_from says from where."}`
	for _, header := range []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: garbage", "Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1", "X-Forwarded-Host: 127.0.0.1"} {
		for _, path := range []string{"/auth/login/", "/auth/mfa/config/", "/auth/app/activate/", "/auth/nothing/", "/auth/login"} {
			h.want(path+" with "+header, h.Do("GET", path, "", header), 403, refused)
		}
	}
	if got := h.Do("GET", "/auth/mfa/config/", "", "X-Forwarded-For: 192.0.2.7"); got.Status != 200 {
		t.Errorf("an allowed network: %d", got.Status)
	}
}

// The facade is for people: by default it is open to every network, host and page,
// but scripts of foreign pages read nothing unless their origin is listed.
func TestOriginsAndHosts(t *testing.T) {
	h := build(t, compat.Dialect03)
	h.User("admin", "trench", "", password)
	for _, header := range []string{"Host: evil.example", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "X-Forwarded-For: 198.51.100.1"} {
		got := h.Do("POST", "/auth/login/", h.form("username", "admin", "password", password), "Content-Type: application/x-www-form-urlencoded", header)
		if got.Status != 200 || got.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", header, got.Status, got.Header)
		}
	}
	h.want("no preflight", h.Do("OPTIONS", "/auth/login/", "", "Origin: https://evil.example", "Access-Control-Request-Method: POST"), 405, `{"detail":"Method \"OPTIONS\" not allowed."}`)

	h = buildWith(t, compat.Dialect03, compat.Common{CORS: []string{"http://localhost:3000"}})
	got := h.Do("OPTIONS", "/auth/app/activate/", "", "Origin: http://localhost:3000", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")
	if got.Status != 204 || got.Header.Get("Access-Control-Allow-Origin") != "http://localhost:3000" || got.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %d %v", got.Status, got.Header)
	}
	got = h.Do("GET", "/auth/mfa/config/", "", "Origin: http://localhost:3000")
	if got.Status != 200 || got.Header.Get("Access-Control-Allow-Origin") != "http://localhost:3000" {
		t.Errorf("a listed origin: %d %v", got.Status, got.Header)
	}
}

// With `require` a service proves itself with every call: in Authorization, and where
// the call itself needs that header in Proxy-Authorization.
func TestRequiredService(t *testing.T) {
	h := buildWith(t, compat.Dialect03, compat.Common{Require: principal.Ref{Name: "proxy", Realm: "robots"}})
	h.User("admin", "trench", "", password)
	var seed string
	h.Must(h.update(func(tx store.Tx) error {
		s, err := h.Directory.CreateService(tx, account.Local(), account.NewService{Ref: principal.Ref{Name: "proxy", Realm: "robots"}, MakeRealm: true})
		if err == nil {
			seed = otp.FormatSeed(s.Seeds[0].Secret)
		}
		return err
	}))
	basic := func() string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("proxy@robots:"+h.code(seed)))
	}
	form := "Content-Type: application/x-www-form-urlencoded"
	credentials := h.form("username", "admin", "password", password)
	needed := `{"detail":"A service must prove itself with this call."}`
	for _, path := range []string{"/auth/login/", "/auth/nothing/", "/auth/app/activate/"} {
		got := h.Do("POST", path, credentials, form)
		h.want(path+" alone", got, 401, needed)
		if got.Header.Get("WWW-Authenticate") == "" {
			t.Error("no challenge")
		}
	}
	auth := h.tokens("/auth/", h.Do("POST", "/auth/login/", credentials, form, "Authorization: "+basic()))
	h.want("the person alone", h.get("/auth/mfa/user-active-methods/", auth), 401, needed)
	h.next()
	h.want("both", h.Do("GET", "/auth/mfa/user-active-methods/", "", "Authorization: "+auth, "Proxy-Authorization: "+basic()), 200, `[]`)
}

func TestConfiguration(t *testing.T) {
	h := build(t, compat.Dialect03)
	for _, o := range []trench.Options{
		{Prefix: "auth"}, {Prefix: "/"}, {Prefix: "/auth/"}, {Prefix: "/a//b"}, {Prefix: "/a/../b"}, {Prefix: "/a%62"}, {Prefix: "/a b"}, {Prefix: "/a~b"}, {Prefix: "/api/v1"}, {Dialect: "0.4"},
	} {
		o.Rooms, o.Common = h.Rooms, compat.Common{Realm: "trench"}
		if _, err := trench.New(o); err == nil {
			t.Errorf("%+v is taken", o.Prefix+string(o.Dialect))
		}
	}
	if _, err := trench.New(trench.Options{Rooms: h.Rooms}); err == nil {
		t.Error("no realm is taken")
	}
	f, err := trench.New(trench.Options{Rooms: h.Rooms, Common: compat.Common{Realm: "trench"}, Prefix: "/api/v2/auth"})
	h.Must(err)
	for path, want := range map[string]bool{"/api/v2/auth": true, "/api/v2/auth/login/": true, "/api/v2/authx": false, "/api/v2": false, "/auth/login/": false, "/api%2fv2/auth/": false} {
		if f.Owns(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}
