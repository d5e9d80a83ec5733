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
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/fastapi2fa"
)

const (
	elsewhere = `{"detail":"This may not be called from there: allow_from says from where."}`
	closed    = `{"detail":"This may be called from the gateway's own machine, unless compat.fastapi2fa.signup opens it."}`
	lists     = `{"detail":"This may be called from the gateway's own machine, or by the service that compat.fastapi2fa.require names."}`
)

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
		allowed.want(call[1]+" allowed", allowed.Do(call[0], api+call[1], ""), 403, closed)
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

// stripped takes away what says who sent it, as the gateway does before a facade.
type stripped struct{ compat.Facade }

func (s stripped) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = web.MarkForwarded(r)
	web.Strip(r.Header)
	s.Facade.ServeHTTP(w, r)
}

// Attack: a proxy on this host sends a header that is identity too, and so is gone
// when the facade looks.
func TestAHeaderThatIsGoneStillSaysForwarded(t *testing.T) {
	h := newHouse(t, signupOpen)
	h.Serve(stripped{h.facade})
	h.want("users", h.Do("GET", api+"/users/users", "", "X-Forwarded-User: ann"), 403, lists)
}

// With signup everybody may sign up. Who did so has a token, so a token opens no list.
func TestSignupOpen(t *testing.T) {
	h := newHouse(t, from("203.0.113.9"), signupOpen)
	h.want("signup", h.signup(`{"email":"a@example.com","full_name":"A","password":"`+password+`","tfa_enabled":false}`), 200, "")
	p := h.pair(h.login("a@example.com", password), 200)
	for _, path := range []string{"/users/users", "/tasks/test-celery", "/tasks/taskstatus?task_id=1"} {
		h.want(path, h.Do("GET", api+path, ""), 403, lists)
		h.want(path+" with a token", h.Do("GET", api+path, "", bearer(p.Access)), 403, lists)
	}
	proxied := newHouse(t, signupOpen) // by a proxy on this host that says nothing true
	proxied.want("a list through a proxy", proxied.Do("GET", api+"/users/users", "", "X-Forwarded-For: 127.0.0.1"), 403, lists)
	h = newHouse(t, from("203.0.113.9"), signupOpen, func(o *fastapi2fa.Options) { o.AllowFrom = networks("10.0.0.0/8") })
	h.want("signup from another network", h.signup(`{}`), 403, elsewhere)
	h.want("login from another network", h.login("a@example.com", password), 403, elsewhere)
}

// A page of this origin, and of one that is listed, may sign people up where everybody
// may. Lists are for no page.
func TestSignupByPages(t *testing.T) {
	listed := func(o *fastapi2fa.Options) { o.CORS = []string{"https://app.example"} }
	h, closed := newHouse(t, signupOpen, listed), newHouse(t, listed)
	const page = `{"detail":"This may not be called by a web page."}`
	for name, c := range map[string]struct {
		head []string
		good bool
	}{
		"listed":            {[]string{"Origin: https://app.example", "Sec-Fetch-Site: cross-site"}, true},
		"its own":           {[]string{"Origin: " + h.URL, "Sec-Fetch-Site: same-origin"}, true},
		"foreign":           {[]string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, false},
		"twice":             {[]string{"Origin: https://app.example", "Origin: https://evil.example"}, false},
		"its own, it says":  {[]string{"Origin: " + h.URL, "Sec-Fetch-Site: cross-site"}, false},
		"without an origin": {[]string{"Sec-Fetch-Site: cross-site"}, false},
	} {
		a := h.Do("POST", api+"/auth/signup", `{}`, append(c.head, jsonType)...)
		if c.good != (a.Status == 422) || !c.good && a.Status != 403 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		h.want(name+", users", h.Do("GET", api+"/users/users", "", c.head...), 403, page)
		if a := closed.Do("POST", api+"/auth/signup", `{}`, append(c.head, jsonType)...); a.Status != 403 {
			t.Errorf("%s, closed: %d %s", name, a.Status, a.Body)
		}
	}
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
