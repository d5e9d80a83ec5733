package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
)

// facades is a server with all four facades, before an application where words add one.
func facades(t *testing.T, words string) *server {
	t.Helper()
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(config, []byte(words), 0o600); err != nil {
		t.Fatal(err)
	}
	return serveBinary(t, t.TempDir(), "--config", config)
}

// The examples of the four older systems' documents, against the real server.
func TestDocumentsOfTheOlderSystems(t *testing.T) {
	s := facades(t, compattest.Words)
	compattest.Server{TB: t, URL: s.base, Run: func(stdin string, args ...string) string {
		out, errs, code := s.sallyport(stdin, args...)
		if code != 0 {
			t.Fatalf("sallyport %v: %d: %s", args, code, errs)
		}
		return out
	}}.Documents()
}

// door is one way to show a token.
type door struct {
	name  string
	opens string // the kinds that it is for, with | between them
	show  func(token string) *http.Request
}

// M1, M2: every token of every kind at every door. A token opens what it is for, and
// nothing else: not the API, not the application, not another facade, nor another call
// of its own.
func TestM1M2EveryTokenAtEveryDoor(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "behind") }))
	t.Cleanup(app.Close)
	s := facades(t, "trusted_proxies: [127.0.0.1]\nupstream: "+app.URL+"\n"+compattest.Words+
		"rules:\n  - {realms: [users, fastapi2fa, trench], factors: 1, services: [\"@robots\", \"@ungleich-auth\"]}\n")
	tokens := s.everyToken()
	doors := s.everyDoor()
	opened := map[string]bool{}
	for kind, token := range tokens {
		for _, d := range doors {
			req := d.show(token)
			resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			good := resp.StatusCode < 300
			if want := slices.Contains(strings.Split(d.opens, "|"), kind); good != want {
				t.Errorf("%s at %s: %d %.120s", kind, d.name, resp.StatusCode, body)
			}
			if good {
				opened[d.name+" by "+kind] = true
			}
			if resp.StatusCode >= 500 {
				t.Errorf("%s at %s: %d %.120s", kind, d.name, resp.StatusCode, body)
			}
		}
	}
	for _, d := range doors {
		for _, kind := range strings.Split(d.opens, "|") {
			if kind != "" && !opened[d.name+" by "+kind] {
				t.Errorf("%s did not open %s, so the test proves nothing there", kind, d.name)
			}
		}
	}
}

// post sends a form or JSON and returns the answer.
func (s *server) post(path, contentType, body string, header ...string) (int, map[string]any) {
	s.t.Helper()
	req, err := http.NewRequest("POST", s.base+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := map[string]any{}
	_ = json.NewDecoder(resp.Body).Decode(&answer)
	return resp.StatusCode, answer
}

const aForm = "application/x-www-form-urlencoded"

// everyToken makes one of each kind, for people and programs who may pass somewhere.
func (s *server) everyToken() map[string]string {
	s.t.Helper()
	tokens := map[string]string{}
	take := func(kind string, answer map[string]any, key string) {
		s.t.Helper()
		text, _ := answer[key].(string)
		if text == "" {
			s.t.Fatalf("no %s in %v", kind, answer)
		}
		tokens[kind] = text
	}
	alice := s.addUser("alice")
	client := browserLike(s.t)
	_, answer, err := patient(client, s.base+"/sallyport/api/v1/login", map[string]any{"name": "alice", "password": alice.password})
	if err != nil {
		s.t.Fatal(err)
	}
	take("native half login", answer, "ephemeral_token")
	_, answer, err = s.login(client, alice, alice.code(s.t, 0))
	if err != nil {
		s.t.Fatal(err)
	}
	take("native access", answer, "access_token")
	take("native refresh", answer, "refresh_token")
	here, _ := url.Parse(s.base)
	for _, c := range client.Jar.Cookies(here) {
		if c.Name == "sallyport_session" {
			tokens["native cookie"] = c.Value
		}
	}
	_, answer = s.post("/sallyport/api/v1/token", aForm, "grant_type=client_credentials&client_id=deploy%40robots&client_secret="+s.must("token", "--seed-file", s.robot("deploy@robots")))
	take("service access", answer, "access_token")
	_, link, _ := strings.Cut(s.setupURL(), "token=")
	tokens["setup link"] = link
	s.fastapiTokens(take)
	s.trenchTokens(take)
	return tokens
}

func (s *server) fastapiTokens(take func(string, map[string]any, string)) {
	s.t.Helper()
	secret := s.userOf("bob", "fastapi2fa", "bob@example.com")
	login := "username=bob%40example.com&password=" + url.QueryEscape(goodPassword)
	_, answer := s.post("/api/v1/auth/login", aForm, login)
	take("fastapi half login", answer, "access_token")
	_, half := s.post("/api/v1/auth/login", aForm, login)
	_, answer = s.post("/api/v1/tfa/login_tfa?tfa_token="+secret.code(s.t, 0), aForm, "", "Authorization: Bearer "+half["access_token"].(string))
	take("fastapi access", answer, "access_token")
	take("fastapi refresh", answer, "refresh_token")
}

func (s *server) trenchTokens(take func(string, map[string]any, string)) {
	s.t.Helper()
	secret := s.userOf("carol", "trench", "")
	login := "username=carol&password=" + url.QueryEscape(goodPassword)
	_, answer := s.post("/auth/login/", aForm, login)
	take("trench half login", answer, "ephemeral_token")
	for i, step := range []struct {
		path  string
		kinds map[string]string
	}{
		{"/auth/login/", map[string]string{"trench jwt": "token"}},
		{"/auth/jwt/login/", map[string]string{"trench access": "access", "trench refresh": "refresh"}},
		{"/auth/token/login/", map[string]string{"trench token": "auth_token"}},
	} {
		_, half := s.post(step.path, aForm, login)
		_, done := s.post(step.path+"code/", aForm, "ephemeral_token="+half["ephemeral_token"].(string)+"&code="+secret.code(s.t, i-1))
		for kind, key := range step.kinds {
			take(kind, done, key)
		}
	}
}

// userOf provisions a person with an authenticator in a facade's realm.
func (s *server) userOf(name, realm, email string) person {
	s.t.Helper()
	p := person{name: name, password: goodPassword}
	body := map[string]any{"realm": realm, "name": name, "password": p.password}
	if email != "" {
		body["email"] = email
	}
	if status, answer := s.admin("POST", "/users", body); status != 201 {
		s.t.Fatalf("create %s: %d %v", name, status, answer)
	}
	status, answer := s.admin("POST", "/users/"+realm+"/"+name+"/totp", map[string]any{})
	if status != 201 {
		s.t.Fatalf("totp of %s: %d %v", name, status, answer)
	}
	p.secret, _ = answer["secret"].(string)
	return p
}

// everyDoor is where a token can be shown. None of them uses one up.
func (s *server) everyDoor() []door {
	request := func(method, path, body string, header ...string) *http.Request {
		req, err := http.NewRequest(method, s.base+path, strings.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, h := range header {
			name, value, _ := strings.Cut(h, ": ")
			req.Header.Set(name, value)
		}
		return req
	}
	get := func(path, header string) func(string) *http.Request {
		return func(token string) *http.Request { return request("GET", path, "", header+token) }
	}
	doors := []door{
		{"GET /me as Bearer", "native access", get("/sallyport/api/v1/me", "Authorization: Bearer ")},
		{"GET /me as cookie", "native cookie", get("/sallyport/api/v1/me", "Cookie: sallyport_session=")},
		{"the application as Bearer", "native access|service access", get("/x", "Authorization: Bearer ")},
		{"POST /token/refresh", "native refresh", func(token string) *http.Request {
			return request("POST", "/sallyport/api/v1/token/refresh", `{"refresh_token":"`+token+`"}`, "Content-Type: application/json")
		}},
		{"the application as cookie", "native cookie", get("/x", "Cookie: sallyport_session=")},
		{"fastapi test-token", "fastapi access", get("/api/v1/auth/test-token", "Authorization: Bearer ")},
		{"fastapi refresh", "fastapi refresh", func(token string) *http.Request {
			return request("POST", "/api/v1/auth/refresh", `{"refresh_token":"`+token+`"}`, "Content-Type: application/json")
		}},
		{"trench as Bearer", "trench access", get("/auth/mfa/user-active-methods/", "Authorization: Bearer ")},
		{"trench as JWT", "trench jwt", get("/auth/mfa/user-active-methods/", "Authorization: JWT ")},
		{"trench as Token", "trench token", get("/auth/mfa/user-active-methods/", "Authorization: Token ")},
		{"trench jwt/refresh", "trench refresh", func(token string) *http.Request {
			return request("POST", "/auth/jwt/refresh/", "refresh="+url.QueryEscape(token), "Content-Type: "+aForm)
		}},
	}
	authz := func(path, header string) func(string) *http.Request {
		return func(token string) *http.Request {
			return request("GET", path, "", "X-Original-URL: http://app.example.com/x", "X-Original-Method: GET", "X-Forwarded-For: 192.0.2.1", header+token)
		}
	}
	doors = append(doors,
		door{"authz as Bearer", "native access|service access", authz("/sallyport/authz/auth-request", "Authorization: Bearer ")},
		door{"authz as cookie", "native cookie", authz("/sallyport/authz/auth-request", "Cookie: sallyport_session=")},
		door{"/api/authz as Bearer", "", authz("/api/authz/auth-request", "Authorization: Bearer ")},
		door{"/api/authz as cookie", "native cookie", authz("/api/authz/auth-request", "Cookie: sallyport_session=")},
		door{"GET /users as Bearer", "", get("/sallyport/api/v1/users", "Authorization: Bearer ")},
		door{"fastapi get_my_qrcode", "fastapi access", get("/api/v1/tfa/get_my_qrcode", "Authorization: Bearer ")},
		door{"fastapi as cookie", "", get("/api/v1/auth/test-token", "Cookie: access_token=")},
		door{"trench code/request", "trench access", func(token string) *http.Request {
			return request("POST", "/auth/code/request/", "method=app", "Content-Type: "+aForm, "Authorization: Bearer "+token)
		}},
		door{"trench jwt/verify", "trench access|trench refresh", func(token string) *http.Request {
			return request("POST", "/auth/jwt/verify/", "token="+url.QueryEscape(token), "Content-Type: "+aForm)
		}},
	)
	for _, name := range []string{"alice@users", "bob@fastapi2fa", "carol@trench", "deploy@robots", "bob@example.com"} {
		doors = append(doors, door{"the application as Basic, " + name, "", func(token string) *http.Request {
			req := request("GET", "/x", "")
			req.SetBasicAuth(name, token)
			return req
		}})
	}
	// Doors that nothing of the list opens: half logins without a code, and what only one
	// proof opens that is not a token.
	for path, body := range map[string]string{
		"/sallyport/api/v1/login/code":          `{"ephemeral_token":"%s","code":"000000"}`,
		"/sallyport/api/v1/login/recovery-code": `{"ephemeral_token":"%s","recovery_code":"000000"}`,
	} {
		doors = append(doors, door{path, "", func(token string) *http.Request {
			return request("POST", path, fmt.Sprintf(body, token), "Content-Type: application/json")
		}})
	}
	for _, path := range []string{"/auth/login/code/", "/auth/jwt/login/code/", "/auth/token/login/code/"} {
		doors = append(doors, door{path, "", func(token string) *http.Request {
			return request("POST", path, "code=000000&ephemeral_token="+url.QueryEscape(token), "Content-Type: "+aForm)
		}})
	}
	for _, path := range []string{"/api/v1/tfa/login_tfa?tfa_token=000000", "/api/v1/tfa/recover_tfa?tfa_backup_token=000000"} {
		doors = append(doors, door{path, "", func(token string) *http.Request { return request("POST", path, "", "Authorization: Bearer "+token) }})
	}
	return doors
}
