package gateway_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/otp"
)

// oldPassword is everybody's in the samples.
const (
	oldPassword = "correct horse battery staple"
	samples     = "../command/importing/testdata/"
)

// socket answers as the admin socket does.
type socket struct{ w *world }

func (s socket) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r.RemoteAddr = "@"
	rec := httptest.NewRecorder()
	s.w.gw.AdminHandler().ServeHTTP(rec, r)
	s.w.note(&answer{what: r.Method + " " + r.URL.Path, status: rec.Code, header: rec.Header(), body: rec.Body.String()})
	return rec.Result(), nil
}

// command runs a command line against the running gateway.
func (w *world) command(stdin string, args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	shell := command.Shell{AdminDial: func(context.Context, command.Global) (http.RoundTripper, error) { return socket{w}, nil }}
	code = command.Run(w.t.Context(), shell, args, strings.NewReader(stdin), &out, &err)
	return out.String(), err.String(), code
}

func one(cfg gateway.Config, realms ...string) gateway.Config {
	cfg.Realms = map[string]gateway.Realm{}
	for _, realm := range realms {
		cfg.Realms[realm] = gateway.Realm{Factors: number(1)}
	}
	return cfg
}

// People move here from four other programs, into a server that runs, and sign
// in with the passwords that they had. The first login replaces the old hash,
// the second one uses the new.
func TestPeopleMoveInWithTheirPasswords(t *testing.T) {
	w := open(t, one(centralConfig(), "htpasswd", "authelia", "django", "jsonl"))
	v := &aviary{t: t}
	v.plant("password", oldPassword)
	v.plant("password", "quiet otters paddle upriver")
	for _, hash := range []string{"FiPhXf1sVd3pCCRO", "5MT.bUwCwhCf2blpqTwiG", "q/eq1kOINtvlJqojGr3i0O73TUI", "VN7LMkaLOrsMSWYHlf", "99KFIsmyrYs9F2wBaxxANYkNqG8", "fnmywHk/axw2BhHMnFlEwoh"} {
		v.plant("hash", hash)
	}
	v.seed("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")

	members := map[string][]string{
		"htpasswd": {"bea", "apr", "sha", "six"}, "authelia": {"authelia", "harry", "1234", "last"}, "django": {"early", "sha1", "scrypt", "argon"},
	}
	var printed strings.Builder
	for realm, file := range map[string]string{"htpasswd": "htpasswd", "authelia": "users_database.yml", "django": "dump.json", "jsonl": "users.jsonl"} {
		stdout, stderr, code := w.command("", "user", "import", "--realm", realm, filepath.FromSlash(samples+file))
		if code != 1 || !strings.Contains(stdout, "refused") || !strings.Contains(stderr, "Format: "+realm) {
			t.Errorf("%s: exit code %d\n%s%s", realm, code, stdout, stderr)
		}
		printed.WriteString(stdout + stderr)
		for _, name := range members[realm] {
			b := w.browser("https://" + portalHost)
			for _, what := range []string{"the old hash", "the new hash"} {
				a := b.api("POST", "/login", map[string]any{"name": name, "realm": realm, "password": oldPassword})
				if a.status != 200 || a.fields(t)["status"] != "ok" {
					t.Errorf("%s@%s with %s: %d %s", name, realm, what, a.status, a.body)
				}
			}
			wantStatus(t, b.api("POST", "/login", map[string]any{"name": name, "realm": realm, "password": oldPassword + " "}), http.StatusUnauthorized)
		}
	}
	wantStatus(t, w.browser("https://"+portalHost).api("POST", "/login", map[string]any{"name": "clear", "realm": "jsonl", "password": "quiet otters paddle upriver"}), 200)
	for _, gone := range []string{"bcrypt@django", "quoted@authelia"} { // disabled there, disabled here
		name, realm, _ := strings.Cut(gone, "@")
		wantStatus(t, w.browser("https://"+portalHost).api("POST", "/login", map[string]any{"name": name, "realm": realm, "password": oldPassword}), http.StatusUnauthorized)
	}
	hashes, _, _ := w.command("", "user", "export", "--with-hashes", "--realm", "htpasswd")
	if strings.Count(hashes, `"password_hash":"$argon2id$`) != 4 {
		t.Errorf("the hashes were not renewed:\n%s", hashes)
	}

	// An authenticator that came along opens the second door.
	b := w.browser("https://" + portalHost)
	half := b.api("POST", "/login", map[string]any{"name": "whole@example.com", "realm": "staff", "password": oldPassword})
	seed, err := otp.ParseSeed("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
	if err != nil {
		t.Fatal(err)
	}
	params := otp.Params{Algorithm: otp.SHA256, Digits: 8, Period: 30}
	code, err := params.Code(seed, params.Step(w.clock()))
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, b.api("POST", "/login/code", map[string]any{"ephemeral_token": half.fields(t)["ephemeral_token"], "code": code}), 200)

	w.must("GET", "/audit?limit=200", nil)
	for _, c := range v.list {
		for _, text := range c.spread() {
			if strings.Contains(w.log.String(), text) || strings.Contains(printed.String(), text) {
				t.Errorf("the log or the command line shows a %s", c.what)
			}
			for _, a := range w.seen {
				if strings.Contains(a.body, text) && !strings.HasSuffix(a.what, "/users/export") {
					t.Errorf("%s shows a %s", a.what, c.what)
				}
			}
		}
	}
}

// Attack: people were imported into a running server with hashes that take
// longer than ours. Until the next start whoever was slow was known to exist.
// So the floor rises with the import, before anybody is there whom it hides.
func TestImportRaisesTheFloorAtOnce(t *testing.T) {
	w := open(t, one(centralConfig(), "single"))
	before := w.gw.FloorForTest()
	const dear = `{"realm":"single","name":"slow","password_hash":"$pbkdf2-sha512$400000$epkyTqSGIL7yf3WE84fWuw$fnmywHk/axw2BhHMnFlEwohDyv1TOa4ECDdP2V3tm5.DSF1AbP4JPjbpSGn83gB8RkLr5yRRJKc6RpjRQblEJA"}`
	if stdout, stderr, code := w.command(dear, "user", "import", "--dry-run", "-"); code != 0 || w.gw.FloorForTest() != before {
		t.Errorf("a dry run: exit code %d, floor %v\n%s%s", code, w.gw.FloorForTest(), stdout, stderr)
	}
	if stdout, stderr, code := w.command(dear, "user", "import", "-"); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	after := w.gw.FloorForTest()
	if after < 10*before {
		t.Errorf("the floor was %v and is %v", before, after)
	}
	w.restart()
	if again := w.gw.FloorForTest(); again < after/8 {
		t.Errorf("after a restart the floor is %v, not %v", again, after)
	}
}

// A file of users that somebody exported is for nobody else on the machine.
func TestExportedFileIsOnesOwn(t *testing.T) {
	w := open(t, centralConfig())
	path := filepath.Join(t.TempDir(), "users.jsonl")
	if _, stderr, code := w.command("", "user", "export", "--with-hashes", path); code != 0 {
		t.Fatal(stderr)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, _, code := w.command("", "user", "export", "--realm", "nowhere", path+"2"); code != 1 {
		t.Error("a realm that does not exist was exported")
	}
	if _, err := os.Stat(path + "2"); err == nil {
		t.Error("half a file stayed")
	}
}
