package gateway_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// canary is a secret that may stand in some answers and nowhere else.
type canary struct {
	what, value string
	raw         []byte    // as bytes, for the files
	handed      []*answer // may hold it
}

type aviary struct {
	t    *testing.T
	list []*canary
}

// plant watches a secret from now on.
func (v *aviary) plant(what, value string, handed ...*answer) *canary {
	v.t.Helper()
	if len(value) < 8 {
		v.t.Fatalf("%s is too short to be told from chance: %q", what, value)
	}
	for _, c := range v.list {
		if c.value == value {
			c.handed = append(c.handed, handed...)
			return c
		}
	}
	c := &canary{what: what, value: value, handed: handed}
	v.list = append(v.list, c)
	return c
}

// cookies watches all that an answer sets.
func (v *aviary) cookies(a *answer) *answer {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Value != "" && c.MaxAge >= 0 {
			v.plant("cookie "+c.Name, c.Value, a)
		}
	}
	return a
}

// tokens watches the secret fields of an answer.
func (v *aviary) tokens(a *answer) map[string]any {
	v.t.Helper()
	v.cookies(a)
	m := a.fields(v.t)
	for _, name := range []string{"ephemeral_token", "access_token", "refresh_token"} {
		if s, ok := m[name].(string); ok {
			v.plant(name, s, a)
		}
	}
	codes, _ := m["recovery_codes"].([]any)
	for _, c := range codes {
		v.plant("recovery code", c.(string), a)
	}
	return m
}

func (v *aviary) seed(text string, handed ...*answer) []byte {
	v.t.Helper()
	seed, err := otp.ParseSeed(text)
	if err != nil {
		v.t.Fatal(err)
	}
	v.plant("seed", otp.FormatSeed(seed), handed...).raw = seed
	v.plant("seed in hex", hex.EncodeToString(seed))
	v.plant("seed in base64", base64.RawStdEncoding.EncodeToString(seed))
	return seed
}

// spread are the ways in which a text may stand somewhere.
func (c *canary) spread() []string {
	list := []string{c.value, url.QueryEscape(c.value), hex.EncodeToString([]byte(c.value)), base64.RawStdEncoding.EncodeToString([]byte(c.value))}
	if strings.Contains(c.value, "-") {
		list = append(list, strings.ReplaceAll(c.value, "-", ""))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

var (
	pageSecret   = regexp.MustCompile(`secret=([A-Z2-7]+)`)
	pageRecovery = regexp.MustCompile(`name="recovery_code" value="([^"]+)"`)
)

// Somebody reads logs, lists of events, answers of the API meant for others, a
// backup of the state directory. Gained before: passwords, seeds, codes and
// cookies that stood there. So everything secret is planted, everything is done
// that can be done, and then nothing of it may stand anywhere but in the answer
// that handed it out.
func TestS8PlantedSecretsStandNowhere(t *testing.T) {
	cfg := centralConfig()
	eight := otp.Params{Algorithm: otp.SHA1, Digits: 8, Period: 30} // six digits happen by chance
	cfg.Realms = map[string]gateway.Realm{"users": {OTP: &eight}}
	w := open(t, cfg)
	v := &aviary{t: t}
	passwords := []string{"canary: heron over the weir", "canary: bittern in the reeds", "canary: egret by the lock", "canary: stork on the chimney"}
	for _, p := range passwords {
		v.plant("password", p)
	}
	code := func(seed []byte, p otp.Params) string {
		t.Helper()
		w.pass(30e9)
		text, err := p.Code(seed, p.Step(w.clock()))
		if err != nil {
			t.Fatal(err)
		}
		if len(text) == 8 {
			v.plant("code", text)
		}
		return text
	}

	// Setup: the first administrator.
	made := w.local("POST", "/setup-link", nil)
	link := made.fields(t)["url"].(string)
	v.plant("setup token", link[strings.Index(link, "token=")+6:], made)
	root := w.browser("https://" + portalHost)
	form := v.cookies(root.get(strings.TrimPrefix(link, "https://"+portalHost))).header.Get("Location")
	next := v.cookies(root.post(form, url.Values{"username": {"root"}, "new_password": {passwords[0]}, "again": {passwords[0]}})).header.Get("Location")
	shown := v.cookies(root.get(next))
	rootSeed := v.seed(pageSecret.FindStringSubmatch(shown.body)[1], shown)
	wrong := root.post(next, url.Values{"code": {"000000"}}) // shows it again
	v.seed(otp.FormatSeed(rootSeed), wrong)
	done := v.cookies(root.post(next, url.Values{"code": {code(rootSeed, otp.Default())}}))
	for _, m := range pageRecovery.FindAllStringSubmatch(done.body, -1) {
		v.plant("recovery code", m[1], done)
	}
	if !strings.Contains(done.body, "recovery") || len(pageRecovery.FindAllString(done.body, -1)) < 10 {
		t.Fatalf("setup ended with %d %s", done.status, done.body)
	}

	// The administrator by the API: makes alice, and asks about everything.
	first := v.tokens(root.api("POST", "/login", map[string]any{"name": "root", "realm": "admin", "password": passwords[0]}))
	admin := v.tokens(root.api("POST", "/login/code", map[string]any{"ephemeral_token": first["ephemeral_token"], "code": code(rootSeed, otp.Default())}))
	bearer := http.Header{"Authorization": {"Bearer " + admin["access_token"].(string)}}
	wantStatus(t, root.api("POST", "/users", map[string]any{"realm": "users", "name": "alice", "password": passwords[1], "email": "alice@corp.example"}, bearer), 201)
	given := root.api("POST", "/users/users/alice/totp", map[string]any{}, bearer)
	v.tokens(given)
	seed := v.seed(given.fields(t)["secret"].(string), given)
	recovery := given.fields(t)["recovery_codes"].([]any)
	wantStatus(t, root.api("POST", "/users/users/alice/verify", map[string]any{"code": code(seed, eight)}, bearer), 200)

	// Alice: wrong everything, then both doors, by both doors.
	b := w.browser("https://" + portalHost)
	for _, form := range []url.Values{
		{"username": {"alice"}, "password": {passwords[2]}}, {"username": {passwords[3]}, "password": {passwords[3]}}, {"username": {"alice@nowhere"}, "password": {passwords[1]}},
		{"username": {"nobody"}, "password": {passwords[1]}}, {"username": {"alice"}, "password": {passwords[1], passwords[1]}},
	} {
		a := b.post("/sallyport/login", form)
		if a.status < 400 {
			t.Errorf("%v: %d", form, a.status)
		}
		if form.Get("username") == passwords[3] { // the form comes back with what was typed as name
			v.plant("password", passwords[3], a)
		}
	}
	half := v.cookies(b.post("/sallyport/login", url.Values{"username": {"alice"}, "password": {passwords[1]}})).header.Get("Location")
	v.cookies(b.get(half))
	for _, c := range []string{"00000000", "١٢٣٤٥٦٧٨", recovery[1].(string)} {
		wantStatus(t, v.cookies(b.post(half, url.Values{"code": {c}})), http.StatusUnauthorized)
	}
	used := code(seed, eight)
	wantStatus(t, v.cookies(b.post(half, url.Values{"code": {used}})), http.StatusSeeOther)
	again := v.tokens(b.api("POST", "/login", map[string]any{"name": "alice", "password": passwords[1]}))
	for _, body := range []map[string]any{{"ephemeral_token": again["ephemeral_token"], "code": used}, {"ephemeral_token": again["ephemeral_token"], "code": "1"}} {
		wantStatus(t, b.api("POST", "/login/code", body), http.StatusUnauthorized)
	}
	pair := v.tokens(b.api("POST", "/login/recovery-code", map[string]any{"ephemeral_token": again["ephemeral_token"], "recovery_code": recovery[0]}))
	pair = v.tokens(b.api("POST", "/token/refresh", map[string]any{"refresh_token": pair["refresh_token"]}))
	own := http.Header{"Authorization": {"Bearer " + pair["access_token"].(string)}}

	// Her account, by pages and calls.
	for _, page := range pages(t) {
		if !strings.Contains(page, "setup") && !strings.Contains(page, "invite") {
			v.cookies(b.get(page))
		}
	}
	for _, call := range w.apiCalls(t) {
		if call.method == "GET" {
			b.api("GET", strings.TrimPrefix(call.path, apiPrefix), nil, own)
			root.api("GET", strings.TrimPrefix(call.path, apiPrefix), nil, bearer)
			w.local("GET", strings.TrimPrefix(call.path, apiPrefix), nil)
		}
	}
	fresh := v.tokens(b.api("POST", "/me/recovery-codes", map[string]any{"code": code(seed, eight)}, own))
	if len(fresh["recovery_codes"].([]any)) < 10 {
		t.Fatal(fresh)
	}
	sheet := v.cookies(b.post("/sallyport/account/recovery-codes", url.Values{"code": {code(seed, eight)}}))
	for _, m := range pageRecovery.FindAllStringSubmatch(sheet.body, -1) {
		v.plant("recovery code", m[1], sheet)
	}
	wantStatus(t, sheet, 200)
	wantStatus(t, v.cookies(b.post("/sallyport/account/password", url.Values{"password": {passwords[1]}, "new_password": {passwords[2]}, "again": {passwords[2]}, "code": {code(seed, eight)}})), http.StatusSeeOther)

	// Bad input that is made of secrets.
	mixed := fmt.Sprintf(`{"name":"alice","password":%q,%q:%q,"code":%q}`, passwords[1], passwords[1], passwords[1], used)
	for _, c := range []struct{ target, body, kind string }{
		{apiPrefix + "/login", mixed, "application/json"}, {apiPrefix + "/login", mixed[:len(mixed)-1], "application/json"}, {apiPrefix + "/login", mixed, "text/plain"},
		{apiPrefix + "/login", `{"name":["` + passwords[1] + `"]}`, "application/json"}, {apiPrefix + "/login?password=" + url.QueryEscape(passwords[1]), "{}", "application/json"},
		{apiPrefix + "/login/code", `{"ephemeral_token":"` + passwords[1] + `","code":["` + used + `"]}`, "application/json"}, {apiPrefix + "/" + admin["refresh_token"].(string), "{}", "application/json"},
		{"/sallyport/" + used, "", "text/plain"}, {"/sallyport/setup?token=" + admin["refresh_token"].(string), "", "text/plain"}, {"/sallyport/login/code?l=" + used, "code=" + used, "application/x-www-form-urlencoded"},
		{"/sallyport/authz/forward-auth?realm=" + url.QueryEscape(passwords[1]), "", "text/plain"}, {"/sallyport/login", "password=%zz" + url.QueryEscape(passwords[1]), "application/x-www-form-urlencoded"},
	} {
		for _, who := range []*browser{b, w.browser("https://" + portalHost)} {
			if a := who.ask("POST", c.target, c.body, http.Header{"Content-Type": {c.kind}, "Origin": {"https://" + portalHost}, "Accept": {"text/html"}}); a.status < 400 {
				t.Errorf("%s: %d", a.what, a.status)
			}
		}
	}
	// Proxies: with the cookies, with tokens as cookies, in the address.
	b = w.browser("https://" + portalHost)
	half = v.cookies(b.post("/sallyport/login", url.Values{"username": {"alice"}, "password": {passwords[2]}})).header.Get("Location")
	v.cookies(b.post(half, url.Values{"code": {code(seed, eight)}}))
	app := w.browser("https://" + appHost)
	maps.Copy(app.jar, b.jar)
	app.jar["theme"] = "dark"
	a := app.authz("/x")
	wantStatus(t, a, 200)
	if a.header.Get("Cookie") != "theme=dark" {
		t.Errorf("the 200 carries Cookie: %q", a.header.Get("Cookie"))
	}
	app.forwardAuth("/sallyport/authz/forward-auth", "GET", "/x", http.Header{"Authorization": {"Bearer " + pair["access_token"].(string)}, "Cookie": {"a=b"}})
	app.forwardAuth("/sallyport/authz/forward-auth", "GET", "/x", http.Header{"Authorization": {"Basic " + basic("alice@users", passwords[2])}, "Cookie": {"a=b"}})

	// An invitation, and an enrolment between the doors.
	wantStatus(t, root.api("POST", "/users", map[string]any{"realm": "users", "name": "ines"}, bearer), 201)
	sent := root.api("POST", "/users/users/ines/invite", map[string]any{}, bearer)
	invite := sent.fields(t)["invite_url"].(string)
	v.plant("invitation", invite[strings.Index(invite, "token=")+6:], sent)
	ines := w.browser("https://" + portalHost)
	form = v.cookies(ines.get(strings.TrimPrefix(invite, "https://"+portalHost))).header.Get("Location")
	v.cookies(ines.get(form))
	next = v.cookies(ines.post(form, url.Values{"new_password": {passwords[3]}, "again": {passwords[3]}})).header.Get("Location")
	shown = v.cookies(ines.get(next))
	pending := v.seed(pageSecret.FindStringSubmatch(shown.body)[1], shown)
	done = v.cookies(ines.post(next, url.Values{"code": {code(pending, eight)}}))
	for _, m := range pageRecovery.FindAllStringSubmatch(done.body, -1) {
		v.plant("recovery code", m[1], done)
	}
	wantStatus(t, done, 200)
	v.cookies(ines.post("/sallyport/logout", nil))
	wantStatus(t, root.api("PATCH", "/users/users/alice", map[string]any{"disabled": true}, bearer), 200)
	w.local("GET", "/audit?limit=200", nil)
	root.api("GET", "/audit", nil, bearer)
	w.local("DELETE", "/users/users/ines", nil)

	key := []byte(pgtest.MasterKey)
	if !pgtest.Second() {
		var err error
		if key, err = os.ReadFile(filepath.Join(w.dir, "master.key")); err != nil {
			t.Fatal(err)
		}
	}
	v.plant("master key", strings.TrimSpace(string(key)))
	v.check(w)
}

// check looks everywhere.
func (v *aviary) check(w *world) {
	t := v.t
	t.Helper()
	found := 0
	for _, c := range v.list {
		for _, text := range c.spread() {
			for _, a := range w.seen {
				if !strings.Contains(a.body, text) && !strings.Contains(fmt.Sprint(a.header), text) {
					continue
				}
				if slices.Contains(c.handed, a) {
					found++
					continue
				}
				t.Errorf("%s (%d) holds a %s", a.what, a.status, c.what)
			}
			if log := w.log.String(); strings.Contains(log, text) {
				i := strings.Index(log, text)
				t.Errorf("the log holds a %s: %s", c.what, log[max(0, i-200):min(len(log), i+100)])
			}
		}
	}
	if found < 40 || len(w.log.String()) < 2000 {
		t.Errorf("only %d of %d canaries were seen where they belong, log of %d bytes: this test looks at nothing", found, len(v.list), len(w.log.String()))
	}
	for _, a := range w.seen {
		if text := a.body + fmt.Sprint(a.header); strings.Contains(text, "$argon2") || strings.Contains(text, `"password_hash":"`) { // the description names the field
			t.Errorf("%s holds a hash", a.what)
		}
	}
	if strings.Contains(w.log.String(), "$argon2") {
		t.Error("the log holds a hash")
	}
	v.files(w)
}

// files looks at the raw files of the state directory, after a clean stop, which
// writes everything out, or at those of the database server, its log of writes
// among them.
func (v *aviary) files(w *world) {
	t := v.t
	t.Helper()
	w.stop()
	defer w.start()
	dir, size := w.dir, 0
	if pgtest.Second() {
		dir = pgtest.Files(t)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // the server goes on
			return nil
		}
		if err != nil || !d.Type().IsRegular() || d.Name() == "master.key" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		size += len(data)
		for _, c := range v.list {
			for _, text := range c.spread() {
				if bytes.Contains(data, []byte(text)) {
					t.Errorf("the file %s holds a %s", d.Name(), c.what)
				}
			}
			if c.raw != nil && bytes.Contains(data, c.raw) {
				t.Errorf("the file %s holds a %s in its bytes", d.Name(), c.what)
			}
		}
		if bytes.Contains(data, []byte("$argon2")) {
			t.Errorf("the file %s holds a hash in clear", d.Name())
		}
		return nil
	})
	if err != nil || size < 4096 {
		t.Errorf("looked at %d bytes of files, %v", size, err)
	}
}
