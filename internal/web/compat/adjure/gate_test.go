package adjure_test

import (
	"encoding/base64"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat/adjure"
)

// Attack: somebody elsewhere, a page in a browser of this machine, a name that its
// owner made point here: each calls what asks for no credentials.
func TestWhoMayCall(t *testing.T) {
	const network, host, origin = "This may not be called from there: allow_from says from where.", "This is not answered under that host name.", "This may not be called by a web page."
	lan := func(o *adjure.Options) { o.AllowFrom = networks("192.0.2.0/24") }
	own := func(o *adjure.Options) { o.OwnHost = func(name string) bool { return name == "auth.example.com" } }
	for name, c := range map[string]struct {
		change  func(*adjure.Options)
		headers []string
		code    string // "": it is let in
		text    string
	}{
		"this machine":                      {},
		"another one":                       {headers: []string{"X-Forwarded-For: 192.0.2.7"}, code: "NETWORK", text: network},
		"one that says it is this":          {headers: []string{"X-Forwarded-For: 127.0.0.1"}, code: "NETWORK", text: network},
		"a proxy that does not say for who": {headers: []string{"Via: 1.1 proxy"}, code: "NETWORK", text: network},
		"a real address in another header":  {headers: []string{"X-Real-Ip: 127.0.0.1"}, code: "NETWORK", text: network},
		"an allowed network":                {change: lan, headers: []string{"X-Forwarded-For: 192.0.2.7"}},
		"another network":                   {change: lan, headers: []string{"X-Forwarded-For: 198.51.100.7"}, code: "NETWORK", text: network},
		"this machine, not allowed":         {change: lan, code: "NETWORK", text: network},
		"localhost":                         {headers: []string{"Host: localhost:5000"}},
		"our own host":                      {change: own, headers: []string{"Host: auth.example.com"}},
		"a rebound name":                    {change: own, headers: []string{"Host: evil.example"}, code: "HOST", text: host},
		"any name":                          {headers: []string{"Host: auth.example.com"}, code: "HOST", text: host},
		"a page":                            {headers: []string{"Origin: https://evil.example"}, code: "ORIGIN", text: origin},
		"a page without an origin":          {headers: []string{"Origin: null"}, code: "ORIGIN", text: origin},
		"a picture of a page":               {headers: []string{"Sec-Fetch-Site: cross-site"}, code: "ORIGIN", text: origin},
		"a page of a neighbour":             {headers: []string{"Sec-Fetch-Site: same-site"}, code: "ORIGIN", text: origin},
	} {
		var change []func(*adjure.Options)
		if c.change != nil {
			change = append(change, c.change)
		}
		h := newHouse(t, change...)
		for _, path := range []string{"/healthcheck", "/user/x", "/user/qrcode?user_id=a"} {
			a := h.Do("GET", path, "", c.headers...)
			if c.code != "" {
				h.problem(name+" at "+path, a, 403, c.code, c.text)
			} else if a.Status == 403 {
				t.Errorf("%s at %s: %d %s", name, path, a.Status, a.Body)
			}
		}
		if a := h.Do("POST", "/user/provision", object("user_id", "new"), c.headers...); (a.Status == 200) != (c.code == "") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}

// With `require` a service proves itself with every call, the health check too.
func TestRequire(t *testing.T) {
	h := newHouse(t, func(o *adjure.Options) { o.Require = principal.Ref{Name: "shop", Realm: "robots"} })
	seeds := map[string]string{}
	for _, name := range []string{"shop", "other"} {
		h.update(func(tx store.Tx) error {
			s, err := h.Directory.CreateService(tx, account.Local(), account.NewService{Ref: principal.Ref{Name: name, Realm: "robots"}, MakeRealm: true})
			if err == nil {
				seeds[name] = otp.FormatSeed(s.Seeds[0].Secret)
			}
			return err
		})
	}
	basic := func(name, token string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+"@robots:"+token))
	}
	token := func(name string) string { return h.Code(seeds[name], "SHA1", 6, 30) }
	const needed = "A service must prove itself with this call."
	for what, headers := range map[string][]string{"nobody": nil, "another service": {basic("other", token("other"))}, "a wrong token": {basic("shop", "abcdef")},
		"a person":  {"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("alice@adjure:123456"))},
		"a browser": {basic("shop", token("shop")), "Sec-Fetch-Site: none"}} {
		for _, path := range []string{"/healthcheck", "/user/auth_code?user_id=a"} {
			a := h.Do("GET", path, "", headers...)
			h.problem(what, a, 401, "SERVICE_NEEDED", needed)
			if a.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no challenge", what)
			}
		}
	}
	h.empty("the service", h.Do("GET", "/healthcheck", "", basic("shop", token("shop"))))
	h.empty("once more in the same step", h.Do("GET", "/healthcheck", "", basic("shop", token("shop"))))
}

// A listed origin's preflight is answered, and its script is refused all the same:
// what authenticates nobody is for no page.
func TestScripts(t *testing.T) {
	h := newHouse(t, func(o *adjure.Options) { o.CORS = []string{"https://app.example.com"} })
	a := h.Do("OPTIONS", "/user/authenticate", "", "Origin: https://app.example.com", "Access-Control-Request-Method: POST")
	if a.Status != 204 || a.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
		t.Errorf("a preflight: %d %v", a.Status, a.Header)
	}
	h.problem("its request", h.Do("POST", "/user/provision", object("user_id", "a"), "Origin: https://app.example.com"), 403, "ORIGIN", "This may not be called by a web page.")
	h.problem("another's preflight", h.Do("OPTIONS", "/user/authenticate", "", "Origin: https://evil.example", "Access-Control-Request-Method: POST"), 403, "ORIGIN", "This may not be called by a web page.")
}

func TestOwns(t *testing.T) {
	o := adjure.Options{}
	o.Realm = "adjure"
	f, err := adjure.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/user": true, "/user/": true, "/user/x/y": true, "/user/%71rcode": true, "/healthcheck": true, "/healthcheck/": true,
		"/": false, "/users": false, "/user.html": false, "/User/qrcode": false, "/healthcheck/x": false, "/%75ser/qrcode": false, "/x/../user/qrcode": false, "//user/qrcode": false, "": false} {
		if f.Owns(path) != want {
			t.Errorf("%q is the facade's: %v", path, !want)
		}
	}
}
