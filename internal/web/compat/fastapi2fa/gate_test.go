package fastapi2fa_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat/fastapi2fa"
)

const elsewhere = `{"detail":"This may not be called from there."}`

// open are the calls that authenticate nobody.
var open = [][2]string{{"POST", "/auth/signup"}, {"GET", "/users/users"}, {"GET", "/tasks/test-celery"}, {"GET", "/tasks/taskstatus"}}

func signupOpen(o *fastapi2fa.Options) { o.Signup = true }

// Attack: the list of all users, and an account of one's own, from anywhere.
func TestWhatAuthenticatesNobodyIsForThisHost(t *testing.T) {
	foreign := newHouse(t, from("203.0.113.9"))
	forwarded := newHouse(t)
	allowed := newHouse(t, from("203.0.113.9"), func(o *fastapi2fa.Options) { o.AllowFrom = networks("203.0.113.0/24") })
	for _, call := range open {
		foreign.want(call[1], foreign.Do(call[0], api+call[1], ""), 403, elsewhere)
		allowed.want(call[1]+" allowed", allowed.Do(call[0], api+call[1], ""), 403, elsewhere)
		for _, header := range []string{"X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1", "Via: 1.1 x", "X-Forwarded-For: 203.0.113.9"} {
			forwarded.want(call[1]+" "+header, forwarded.Do(call[0], api+call[1], "", header), 403, elsewhere)
		}
		forwarded.want(call[1]+" of a page", forwarded.Do(call[0], api+call[1], "", "Origin: http://evil.example"), 403, `{"detail":"This may not be called by a web page."}`)
		forwarded.want(call[1]+" of a page", forwarded.Do(call[0], api+call[1], "", "Sec-Fetch-Site: cross-site"), 403, `{"detail":"This may not be called by a web page."}`)
		forwarded.want(call[1]+" rebound", forwarded.Do(call[0], api+call[1], "", "Host: evil.example"), 403, `{"detail":"This is not answered under that host name."}`)
		forwarded.want(call[1]+"/ of a page", forwarded.Do(call[0], api+call[1]+"/", "", "Origin: http://evil.example"), 403, `{"detail":"This may not be called by a web page."}`)
	}
	// Logins are for everybody.
	foreign.User("ann", realm, "ann@example.com", password)
	p := foreign.pair(foreign.login("ann@example.com", password), 200)
	if a := foreign.testToken(p.Access); a.Status != 200 {
		t.Errorf("a token from elsewhere: %d", a.Status)
	}
}

// With signup everybody may sign up; lists still need a token.
func TestSignupOpen(t *testing.T) {
	h := newHouse(t, from("203.0.113.9"), signupOpen)
	h.want("signup", h.signup(`{"email":"a@example.com","full_name":"A","password":"`+password+`","tfa_enabled":false}`), 200, "")
	p := h.pair(h.login("a@example.com", password), 200)
	for _, path := range []string{"/users/users", "/tasks/taskstatus?task_id=1"} {
		h.challenged(path, h.Do("GET", api+path, ""), 401, `{"detail":"Not authenticated"}`)
		h.challenged(path, h.Do("GET", api+path, "", bearer(p.Refresh)), 403, credentials)
		if a := h.Do("GET", api+path, "", bearer(p.Access)); a.Status != 200 {
			t.Errorf("%s with a token: %d", path, a.Status)
		}
	}
	proxied := newHouse(t, signupOpen) // by a proxy on this host that says nothing true
	proxied.challenged("a list through a proxy", proxied.Do("GET", api+"/users/users", "", "X-Forwarded-For: 127.0.0.1"), 401, `{"detail":"Not authenticated"}`)
	h = newHouse(t, from("203.0.113.9"), signupOpen, func(o *fastapi2fa.Options) { o.AllowFrom = networks("10.0.0.0/8") })
	h.want("signup from another network", h.signup(`{}`), 403, elsewhere)
	h.want("login from another network", h.login("a@example.com", password), 403, elsewhere)
}

// The service of `require` proves itself with every call.
func TestRequire(t *testing.T) {
	h := newHouse(t)
	ref := principal.Ref{Name: "app", Realm: "robots"}
	var seed []byte
	h.Must(h.Store.Update(t.Context(), func(tx store.Tx) error {
		s, err := h.Directory.CreateService(tx, account.Local(), account.NewService{Ref: ref, MakeRealm: true})
		if err == nil {
			seed = s.Newest().Secret
		}
		return err
	}))
	h.serve(from("203.0.113.9"), signupOpen, func(o *fastapi2fa.Options) { o.Require = ref })
	h.User("ann", realm, "ann@example.com", password)
	basic := func(header string) string {
		r, _ := http.NewRequest("GET", "/", nil)
		r.SetBasicAuth("app@robots", h.Code(otp.FormatSeed(seed), "SHA1", 6, 30))
		return header + ": " + r.Header.Get("Authorization")
	}
	a := h.login("ann@example.com", password)
	h.want("without", a, 401, `{"detail":"A service must prove itself with this call."}`)
	if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("the challenge is %q", a.Header.Get("WWW-Authenticate"))
	}
	form := "username=ann%40example.com&password=quartz+lantern+otter"
	p := h.pair(h.Do("POST", api+"/auth/login", form, formType, basic("Authorization")), 200)
	h.want("a token alone", h.testToken(p.Access), 401, `{"detail":"A service must prove itself with this call."}`)
	if a := h.Do("GET", api+"/auth/test-token", "", bearer(p.Access), basic("Proxy-Authorization")); a.Status != 200 {
		t.Errorf("a token with the service: %d %s", a.Status, a.Body)
	}
	if a := h.Do("GET", api+"/users/users", "", basic("Authorization")); a.Status != 200 {
		t.Errorf("the list for the service: %d %s", a.Status, a.Body)
	}
}

// Scripts of listed origins may read logins, those of others may not.
func TestCORS(t *testing.T) {
	h := newHouse(t, func(o *fastapi2fa.Options) { o.CORS = []string{"https://app.example"} })
	for origin, want := range map[string]string{"https://app.example": "https://app.example", "https://app.example.evil": "", "https://app": ""} {
		a := h.Do("OPTIONS", api+"/auth/login", "", "Origin: "+origin, "Access-Control-Request-Method: POST")
		if got := a.Header.Get("Access-Control-Allow-Origin"); got != want || (a.Status == 204) != (want != "") || a.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d, allowed %q", origin, a.Status, got)
		}
	}
}

// The description names every call, and nothing else.
func TestOpenAPI(t *testing.T) {
	h := newHouse(t)
	a := h.Do("GET", api+"/openapi.json", "")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Security    []map[string][]string
			Responses   map[string]any
		}
		Components struct {
			Schemas         map[string]any
			SecuritySchemes map[string]struct {
				Flows struct{ Password struct{ TokenURL string } }
			}
		}
	}
	if a.Status != 200 || a.Header.Get("Content-Type") != "application/json" || json.Unmarshal([]byte(a.Body), &doc) != nil || doc.OpenAPI != "3.0.2" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	described := []string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			described = append(described, strings.ToUpper(method)+" "+path)
			a := h.Do(strings.ToUpper(method), path, "")
			if secured := len(op.Security) > 0; secured != (a.Status == 401) {
				t.Errorf("%s answers %d, and is secured: %t", path, a.Status, secured)
			}
		}
	}
	slices.Sort(described)
	if want := fastapi2fa.Calls(); !slices.Equal(described, want) {
		t.Errorf("described are\n%v\nand there are\n%v", described, want)
	}
	for _, scheme := range doc.Components.SecuritySchemes {
		if scheme.Flows.Password.TokenURL != api+"/auth/login" {
			t.Errorf("the token's address is %q", scheme.Flows.Password.TokenURL)
		}
	}
	for _, ref := range strings.Split(a.Body, `"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(ref, `"`)
		if doc.Components.Schemas[name] == nil {
			t.Errorf("there is no schema %s", name)
		}
	}
}
