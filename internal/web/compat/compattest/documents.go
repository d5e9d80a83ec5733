package compattest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Server is a running gateway with all four facades, as Words configures them.
type Server struct {
	testing.TB
	URL string                                    // http://localhost:PORT, where the facades answer
	Run func(stdin string, args ...string) string // its command line; a failure ends the test
}

// Words are the configuration under which the documents' examples run, in YAML.
const Words = `
compat:
  adjure: {code_oracle: true}
  ungleich: {show_seeds: true}
  fastapi2fa: {signup: true}
  trench: {dialect: 0.2}
`

// Caddyfile is the same for Caddy, inside its global option.
const Caddyfile = `
compat {
	adjure {
		code_oracle
	}
	ungleich {
		show_seeds
	}
	fastapi2fa {
		signup
	}
	trench {
		dialect 0.2
	}
}
`

const words = "quiet otters paddle upriver"

// Documents runs the examples of the four older systems' documents as their readers
// would: with Python's requests and with curl. Host, port and credentials are ours.
func (s Server) Documents() {
	s.adjure()
	s.ungleich()
	s.fastapi()
	s.trench()
}

// tool runs a program and returns what it printed.
func (s Server) tool(stdin, name string, args ...string) string {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("%s %v: %v: %s", name, args, err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

// curl runs a command line of a document. What it printed comes back, and behind it
// the status.
func (s Server) curl(line string) (body string, status string) {
	s.Helper()
	out := s.tool("", "bash", "-c", line+` -s -w '\n%{http_code}'`)
	at := strings.LastIndexByte(out, '\n')
	return strings.TrimSpace(out[:max(at, 0)]), out[at+1:]
}

// want runs curl and demands a status; the answer is JSON.
func (s Server) want(status, line string) map[string]any {
	s.Helper()
	body, got := s.curl(line)
	answer := map[string]any{}
	if err := json.Unmarshal([]byte(body), &answer); got != status || err != nil && body != "" && !strings.HasPrefix(body, "[") {
		s.Fatalf("%s\nanswered %s %s, want %s", line, got, body, status)
	}
	answer[""] = body
	return answer
}

func text(answer map[string]any, key string) string { return fmt.Sprint(answer[key]) }

// code is what an authenticator shows now.
func (s Server) code(seed string) string {
	s.Helper()
	return s.tool("", "oathtool", "--totp", "-b", seed)
}

// next is what an authenticator shows after the code of now, which was used.
func (s Server) next(seed string) string {
	s.Helper()
	return s.tool("", "oathtool", "--totp", "-b", "-N", time.Now().Add(30*time.Second).UTC().Format("2006-01-02 15:04:05 UTC"), seed)
}

// seedIn reads a QR code's picture.
func (s Server) seedIn(picture string) string {
	s.Helper()
	uri := s.tool("", "zbarimg", "-q", "--raw", picture)
	m := regexp.MustCompile(`secret=([A-Z2-7]+)`).FindStringSubmatch(uri)
	if m == nil {
		s.Fatalf("no secret in %s", uri)
	}
	return m[1]
}

const adjureExample = `
import requests, sys
base = sys.argv[1]
response = requests.post(
    base + '/user/provision',
    json={
        'user_id': '123',
        'key_length': 6,
        'key_valid_duration': 30,
        'hash_algorithm': 'SHA256',
    }
)
print(sorted(response.json()), len(response.json()['recovery_codes']), {len(c) for c in response.json()['recovery_codes']}, response.json()['user_id'])
response = requests.get(base + '/user/auth_code', params={'user_id': '123'})
code = response.json()['code']
print(len(code))
authenticate_response = requests.post(
    base + '/user/authenticate',
    json={
        'user_id': '123',
        'auth_code': code
    }
)
print(authenticate_response.json())
`

func (s Server) adjure() {
	s.Helper()
	got := s.tool(adjureExample, "python3", "-", s.URL)
	if want := "['recovery_codes', 'user_id'] 10 {32} 123\n6\n{}"; got != want {
		s.Errorf("Adjure's README prints\n%s\nwant\n%s", got, want)
	}
	picture := filepath.Join(s.TempDir(), "adjure.png")
	if _, status := s.curl("curl -o " + picture + " '" + s.URL + "/user/qrcode?issuer=Adjure&username=Foobar&user_id=123'"); status != "200" || s.seedIn(picture) == "" {
		s.Errorf("Adjure's QR code: %s", status)
	}
}

// json is curl's body.
func jsonBody(fields map[string]string) string {
	text, _ := json.Marshal(fields)
	return " -H 'Content-Type: application/json' -d '" + string(text) + "'"
}

func (s Server) service(args ...string) (seed string) {
	s.Helper()
	var made struct{ Seed string }
	if err := json.Unmarshal([]byte(s.Run("", slices.Concat([]string{"service", "add"}, args, []string{"--json"})...)), &made); err != nil {
		s.Fatal(err)
	}
	return made.Seed
}

func (s Server) ungleich() {
	s.Helper()
	checker := s.service("checker@ungleich-auth")
	other := s.service("dynamicweb@services")
	const app = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	mine := s.service(app+"@ungleich-apps", "--owner", "nico", "--trusted")
	verify := func(token string) string {
		return text(s.want("200", "curl -X POST "+s.URL+"/verify"+jsonBody(map[string]string{"version": "1", "name": "checker", "realm": "ungleich-auth", "token": s.code(checker),
			"verifyname": "dynamicweb", "verifyrealm": "services", "verifytoken": token})), "status")
	}
	if verify(s.code(other)) != "OK" || verify("000000") != "FAIL" {
		s.Error("ungleich-otp: /verify")
	}
	for key, path := range map[string]string{"appuuid": "/register", "appid": "/app/register"} {
		own := map[string]string{"version": "1", key: app, "token": s.code(mine)}
		registering := map[string]string{"username": "nico", "appname": "app of " + path}
		for k, v := range own {
			registering[k] = v
		}
		registered := s.want("200", "curl -X POST "+s.URL+path+jsonBody(registering))
		id := text(registered, key)
		if text(registered, "status") != "OK" || len(id) != 36 {
			s.Fatalf("ungleich-otp: %s: %v", path, registered)
		}
		list := s.want("200", "curl -X GET "+s.URL+"/app"+jsonBody(own))
		if !strings.Contains(text(list, ""), id) || !strings.Contains(text(list, ""), "app of "+path) {
			s.Errorf("ungleich-otp: /app: %v", list)
		}
		seed := text(s.want("200", "curl -X GET "+s.URL+"/app/"+id+jsonBody(own)), "seed")
		asks := map[string]string{"version": "1", "appid": app, "token": s.code(mine), "appidtoverify": id, "tokentoverify": s.code(seed)}
		if got := s.want("200", "curl -X POST "+s.URL+"/verify"+jsonBody(asks)); text(got, "status") != "OK" {
			s.Errorf("ungleich-otp: the token of a registered app: %v", got)
		}
	}
}

func (s Server) fastapi() {
	s.Helper()
	api := s.URL + "/api/v1"
	signup := func(email, device, to string) string {
		return "curl -X 'POST' '" + api + "/auth/signup' -H 'accept: application/json' -H 'Content-Type: application/json' -d '{\n\"email\": \"" + email +
			"\",\n\"tfa_enabled\": true,\n\"full_name\": \"string\",\n\"password\": \"" + words + "\",\n\"device\": {\n    \"device_type\": \"" + device + "\"\n}\n}' --output " + to
	}
	picture := filepath.Join(s.TempDir(), "my_qrcode.png")
	if _, status := s.curl(signup("mail@example.com", "email", picture)); status != "400" { // nothing sends mail here
		s.Errorf("fastapi_2fa: signup with codes by mail: %s", status)
	}
	if _, status := s.curl(signup("me@example.com", "code_generator", picture)); status != "200" {
		said, _ := os.ReadFile(picture)
		s.Fatalf("fastapi_2fa: signup: %s %s", status, said)
	}
	seed := s.seedIn(picture)
	login := "curl -X 'POST' '" + api + "/auth/login' -H 'accept: application/json' -H 'Content-Type: application/x-www-form-urlencoded' -d 'grant_type=&username=me@example.com&password=" +
		strings.ReplaceAll(words, " ", "+") + "&scope=&client_id=&client_secret='"
	pre := text(s.want("202", login), "access_token")
	code := s.code(seed)
	second := s.want("200", "curl -X 'POST' '"+api+"/tfa/login_tfa?tfa_token="+code+"' -H 'accept: application/json' -H 'Authorization: Bearer "+pre+"' -d ''")
	bearer := " -H 'accept: application/json' -H 'Authorization: Bearer " + text(second, "access_token") + "'"
	if got := s.want("200", "curl -X 'GET' '"+api+"/auth/test-token'"+bearer); text(got, "email") != "me@example.com" || got["tfa_enabled"] != true {
		s.Errorf("fastapi_2fa: test-token: %v", got)
	}
	refreshed := s.want("200", "curl -X 'POST' '"+api+"/auth/refresh' -H 'accept: application/json' -H 'Content-Type: application/json' -d '{\n\"refresh_token\": \""+text(second, "refresh_token")+"\"\n}'")
	if text(refreshed, "access_token") == "" {
		s.Errorf("fastapi_2fa: refresh: %v", refreshed)
	}
	recovered := filepath.Join(s.TempDir(), "my_recovered_qr_code.png")
	if _, status := s.curl("curl -X 'GET' '" + api + "/tfa/get_my_qrcode'" + bearer + " --output " + recovered); status != "200" || s.seedIn(recovered) != seed {
		s.Errorf("fastapi_2fa: get_my_qrcode: %s", status)
	}
	var codes struct {
		RecoveryCodes []string `json:"recovery_codes"`
	}
	if err := json.Unmarshal([]byte(s.Run("", "user", "recovery-codes", "me@fastapi2fa", "--json")), &codes); err != nil || len(codes.RecoveryCodes) != 5 {
		s.Fatalf("fastapi_2fa: backup tokens: %v %v", codes, err)
	}
	pre = text(s.want("202", login), "access_token")
	s.want("200", "curl -X 'POST' '"+api+"/tfa/recover_tfa?tfa_backup_token="+codes.RecoveryCodes[0]+"' -H 'accept: application/json' -H 'Authorization: Bearer "+pre+"' -d ''")
	s.fastapiLater(api)
}

// fastapiLater enables TFA for somebody who has none yet.
func (s Server) fastapiLater(api string) {
	s.Helper()
	body := `{"email": "later@example.com", "tfa_enabled": false, "full_name": "string", "password": "` + words + `"}`
	if said, status := s.curl("curl -X 'POST' '" + api + "/auth/signup' -H 'Content-Type: application/json' -d '" + body + "'"); status != "200" || said != "" {
		s.Errorf("fastapi_2fa: signup without TFA: %s %s", status, said)
	}
	access := text(s.want("200", "curl -X 'POST' '"+api+"/auth/login' -d 'grant_type=&username=later@example.com&password="+strings.ReplaceAll(words, " ", "+")+"&scope=&client_id=&client_secret='"), "access_token")
	picture := filepath.Join(s.TempDir(), "my_new_qr_code.png")
	_, status := s.curl("curl -X 'PUT' '" + api + "/tfa/enable_tfa' -H 'accept: application/json' -H 'Authorization: Bearer " + access + "' -H 'Content-Type: application/json' -d '{\n\"device_type\": \"code_generator\"\n}' --output " + picture)
	if status != "200" || s.seedIn(picture) == "" {
		s.Errorf("fastapi_2fa: enable_tfa: %s", status)
	}
	if got := s.want("200", "curl -X 'GET' '"+api+"/users/users' -H 'accept: application/json'"); !strings.Contains(text(got, ""), "later@example.com") {
		s.Errorf("fastapi_2fa: users: %v", got)
	}
	s.want("503", "curl -X 'GET' '"+api+"/tasks/test-celery' -H 'accept: application/json'") // nothing sends mail here
	if got := s.want("200", "curl -X 'GET' '"+api+"/tasks/taskstatus?task_id=none' -H 'accept: application/json'"); text(got, "state") != "PENDING" {
		s.Errorf("fastapi_2fa: taskstatus: %v", got)
	}
}

func (s Server) trench() {
	s.Helper()
	s.Run(words+"\n", "user", "add", "admin@trench", "--password-stdin", "--json")
	auth := s.URL + "/auth"
	login := "curl -X POST " + auth + "/login/ -d 'username=admin&password=" + strings.ReplaceAll(words, " ", "+") + "'"
	token := " -H 'Authorization: JWT " + text(s.want("200", login), "token") + "'"
	if _, status := s.curl("curl -X POST " + auth + "/email/activate/ -d 'method=email'" + token); status != "404" { // nothing sends mail here
		s.Errorf("django-trench: activation of mail: %s", status)
	}
	link := text(s.want("200", "curl -X POST "+auth+"/app/activate/ -d 'method=app'"+token), "qr_link")
	m := regexp.MustCompile(`secret=([A-Z2-7]+)`).FindStringSubmatch(link)
	if m == nil {
		s.Fatalf("django-trench: the link is %s", link)
	}
	code := s.code(m[1])
	confirmed := s.want("200", "curl -X POST "+auth+"/app/activate/confirm/ -d 'code="+code+"'"+token)
	if codes, _ := confirmed["backup_codes"].([]any); len(codes) != 5 {
		s.Errorf("django-trench: backup codes: %v", confirmed)
	}
	first := s.want("200", login)
	if text(first, "method") != "app" || text(first, "ephemeral_token") == "" || len(first["other_methods"].([]any)) != 0 {
		s.Errorf("django-trench: the first step: %v", first)
	}
	done := s.want("200", "curl -X POST "+auth+"/login/code/ -d 'code="+s.next(m[1])+"&ephemeral_token="+text(first, "ephemeral_token")+"'")
	if text(done, "token") == "" {
		s.Errorf("django-trench: the second step: %v", done)
	}
}
