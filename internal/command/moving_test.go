package command_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/adjure"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
	"github.com/sallyport-auth/sallyport/internal/web/compat/fastapi2fa"
	"github.com/sallyport-auth/sallyport/internal/web/compat/trench"
	"github.com/sallyport-auth/sallyport/internal/web/compat/ungleich"
)

const (
	oldPhrase = "correct horse battery staple"
	// The passphrase above, as each system hashed it: the second by Python's hashlib,
	// the first by the C library.
	oldBcrypt = "$2b$05$abcdefghijklmnopqrstuuFiPhXf1sVd3pCCRO.uVh34H/qI/ZsuS"
	oldDjango = "pbkdf2_sha256$1000$saltsaltsalt1$eHHrhqSTnZCbu/SWliFZB0UX6wZ9xlClBRZdevWtwRw="
	// The backup code a1B2c3D4e5F6, hashed by Python's hashlib.
	oldBackup = "pbkdf2_sha256$1000$saltsaltsalt2$2gekHDMct4lL0JRBIyUoQYKxNl5+T+vgoXJ7BOeUU0k="
	// A seed, and the token that the Python library cryptography made of it.
	oldSeed   = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	seedHex   = "48656c6c6f21deadbeef48656c6c6f21deadbeef" // the same
	shortSeed = "JBSWY3DPEHPK3PXP"                         // as systems of 2018 made them
	oldToken  = "gAAAAABrCRFpQhFKhQ4hrVU6J6t_rFnBQ__SWjmjOi1IGTwpdxi14nyAXoWynC6y3fBBjtr1q_maygnjTbRTR-prBs0G2XhRd1d63Y0QWGYSWeoXlF04yOxf3mVXtHyb_HBZld2wfhCu"
	fernetKey = "fv92f2Ie-WNiWiMjEEggleQ2RXOjOy6Q3n8T6tczdHc="
)

// mover moves people from the database of an older system, as the manual says.
type mover struct {
	*testing.T
	m   *machine
	dir string // of the database and of what its query prints
	url string // of a PostgreSQL database
}

func newMover(t *testing.T) *mover {
	return &mover{T: t, m: newMachine(t), dir: t.TempDir()}
}

// sqlite runs statements in a database file, which need not be there.
func (v *mover) sqlite(file, statements string) {
	v.Helper()
	cmd := exec.Command("sqlite3", "-batch", "-bail", filepath.Join(v.dir, file))
	cmd.Stdin = strings.NewReader(statements)
	if out, err := cmd.CombinedOutput(); err != nil {
		v.Fatalf("sqlite3: %v (make test installs it)\n%s", err, out)
	}
}

func (v *mover) postgres(statements string) {
	v.Helper()
	v.url = pgtest.URL(v)
	pgtest.Run(v, v.url, statements)
}

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// query runs the program that the manual prints below a heading: with sqlite3 or psql.
func (v *mover) query(heading, tool, file string) {
	v.Helper()
	v.edited(heading, tool, file)
}

// edited runs it after changes that the manual tells, in pairs of old and new.
func (v *mover) edited(heading, tool, file string, changes ...string) {
	v.Helper()
	manual, err := os.ReadFile("../../docs/compat.md")
	if err != nil {
		v.Fatal(err)
	}
	_, section, found := strings.Cut(string(manual), "\n### "+heading+"\n")
	if !found {
		v.Fatalf("the manual has no heading %s", heading)
	}
	section, _, _ = strings.Cut(section, "\n### ")
	for _, block := range shellBlock.FindAllStringSubmatch(section, -1) {
		if !strings.Contains(block[1], "\n"+tool+" ") {
			continue
		}
		cmd := exec.Command("sh", "-e", "-c", strings.NewReplacer(changes...).Replace(block[1]))
		cmd.Dir, cmd.Env = v.dir, append(os.Environ(), "DATABASE_URL="+v.url)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			v.Fatalf("%s, %s: %v\n%s", heading, tool, err, out)
		}
		info, err := os.Stat(filepath.Join(v.dir, file))
		if err != nil || info.Mode().Perm() != 0o600 {
			v.Fatalf("%s: %v, %v", file, info, err)
		}
		return
	}
	v.Fatalf("below %s the manual has no program for %s", heading, tool)
}

// run runs one command line, and returns what it printed and the exit code.
func (v *mover) run(args ...string) (stdout, stderr string, code int) {
	v.Helper()
	var out, err bytes.Buffer
	code = command.Run(v.Context(), v.m.shell(&out, &err), args, strings.NewReader(""), &out, &err)
	for _, secret := range []string{oldSeed, shortSeed, oldToken, oldBackup, oldDjango, oldBcrypt, fernetKey, "418908"} {
		if strings.Contains(out.String()+err.String(), secret) {
			v.Errorf("%v shows %s", args, secret)
		}
	}
	return out.String(), err.String(), code
}

type counts struct {
	Created, Updated, Exists, Refused int
	Reasons                           map[string]int
	Entries                           []struct{ Place, User, Code string } `json:"refused_entries"`
	Notes                             []string
}

// move imports a file: a dry run first, which counts the same.
func (v *mover) move(from, file string, flags ...string) (c counts) {
	v.Helper()
	args := append([]string{"user", "import", "--from", from, "--json", filepath.Join(v.dir, file)}, flags...)
	dry, _, _ := v.run(append(args, "--dry-run")...)
	real, stderr, _ := v.run(args...)
	if strings.Replace(dry, `"dry_run": true`, `"dry_run": false`, 1) != real {
		v.Errorf("the dry run said\n%s\nand the import\n%s\n%s", dry, real, stderr)
	}
	if err := json.Unmarshal([]byte(real), &c); err != nil {
		v.Fatalf("%v: %s %s", err, real, stderr)
	}
	return c
}

func (v *mover) want(c counts, created, exists int, refused ...string) {
	v.Helper()
	got := []string{}
	for _, e := range c.Entries {
		got = append(got, e.Place+" "+e.Code)
	}
	slices.Sort(got) // those whom the server refuses are told when it answers
	if c.Created != created || c.Exists != exists || strings.Join(got, ", ") != strings.Join(refused, ", ") {
		v.Errorf("created %d, exist %d, refused %q; want %d, %d, %q", c.Created, c.Exists, got, created, exists, refused)
	}
}

// ask sends a call to one of the machine's two servers.
func (v *mover) ask(to http.Handler, method, path string, body map[string]any) (int, map[string]any) {
	v.Helper()
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			v.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r := httptest.NewRequestWithContext(v.Context(), method, "https://auth.example.com/sallyport/api/v1"+path, reader)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	rec := httptest.NewRecorder()
	to.ServeHTTP(rec, r)
	answer := map[string]any{}
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		v.Fatalf("%s %s: %v: %s", method, path, err, rec.Body)
	}
	return rec.Code, answer
}

func (v *mover) show(path string) map[string]any {
	v.Helper()
	status, answer := v.ask(v.m.admin, http.MethodGet, path, nil)
	if status != 200 {
		v.Fatalf("%s: %d %v", path, status, answer)
	}
	return answer
}

// oathtool is the code of this moment: a judge that shares no code with us.
func (v *mover) oathtool(seed string, flags ...string) string {
	v.Helper()
	out, err := exec.Command("oathtool", append(flags, "--base32", seed)...).Output()
	if err != nil {
		v.Fatalf("oathtool: %v (make test installs it)", err)
	}
	return strings.TrimSpace(string(out))
}

// halfway passes the first door with the old password.
func (v *mover) halfway(who map[string]any) map[string]any {
	v.Helper()
	who["password"] = oldPhrase
	status, answer := v.ask(v.m.network, http.MethodPost, "/login", who)
	if status != 200 {
		v.Fatalf("the first door of %v: %d %v", who, status, answer)
	}
	return answer
}

// second passes the second door with a code or a recovery code, and tells the status.
func (v *mover) second(who map[string]any, kind, code string) int {
	v.Helper()
	first := v.halfway(who)
	if first["status"] != "second_factor" {
		v.Fatalf("%v needs no second factor: %v", who, first)
	}
	path := map[string]string{"code": "/login/code", "recovery_code": "/login/recovery-code"}[kind]
	status, _ := v.ask(v.m.network, http.MethodPost, path, map[string]any{"ephemeral_token": first["ephemeral_token"], kind: code})
	return status
}

// once fails unless a code is good the first time, and not the second.
func (v *mover) once(who map[string]any, kind, code string) {
	v.Helper()
	if first, again := v.second(who, kind, code), v.second(who, kind, code); first != 200 || again != 401 {
		v.Errorf("%s of %v: %d, and again %d", kind, who, first, again)
	}
}

// verify asks as a program does whether a code of somebody without a password is good.
func (v *mover) verify(path string, body map[string]any) any {
	v.Helper()
	_, answer := v.ask(v.m.admin, http.MethodPost, path, body)
	return answer["status"]
}

func (v *mover) realm(name string, args ...string) {
	v.Helper()
	if _, stderr, code := v.run(append([]string{"realm", "set", name}, args...)...); code != 0 {
		v.Fatal(stderr)
	}
}

// later is the code of a step that is just beginning.
func (v *mover) later(seed string, after time.Duration, flags ...string) string {
	v.Helper()
	return v.oathtool(seed, append(flags, "--now", time.Now().Add(after).UTC().Format("2006-01-02 15:04:05 UTC"))...)
}

const (
	asJSON = "application/json"
	asForm = "application/x-www-form-urlencoded"
)

// oldClient is a client of an older system, which knows nothing of the move.
type oldClient struct {
	*mover
	facade compat.Facade
}

func (v *mover) client(f compat.Facade, err error) oldClient {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
	return oldClient{v, f}
}

func (o oldClient) post(path, contentType, body string, status int, headers ...string) map[string]any {
	o.Helper()
	r := httptest.NewRequestWithContext(o.Context(), http.MethodPost, "http://localhost"+path, strings.NewReader(body))
	r.RequestURI, r.RemoteAddr = path, "127.0.0.1:40000"
	r.Header.Set("Content-Type", contentType)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	o.facade.ServeHTTP(rec, r)
	if rec.Code != status {
		o.Errorf("%s: %d %s, want %d", path, rec.Code, rec.Body, status)
	}
	answer := map[string]any{}
	_ = json.Unmarshal(rec.Body.Bytes(), &answer)
	return answer
}

// once fails unless a proof is good the first time, and not the second.
func (o oldClient) once(path, contentType, body string) {
	o.Helper()
	o.post(path, contentType, body, 200)
	o.post(path, contentType, body, 400)
}

const adjureSchema = `
create table adjure_auth_user (id integer not null, user_id varchar(128) not null, secret %s not null, key_length integer not null,
  key_valid_duration integer not null, hash_algorithm varchar(8) not null, primary key (id), unique (user_id));
create table adjure_recovery_code (id integer not null, user_id varchar(128) not null, code varchar(32) not null, used boolean not null,
  primary key (id), foreign key (user_id) references adjure_auth_user (user_id));
insert into adjure_auth_user values (1, 'alice', %s, 6, 30, 'SHA256'), (2, 'bob', %s, 8, 60, 'SHA512'), (3, 'two words', %s, 6, 30, 'SHA1'), (4, 'fork', %s, 6, 0, 'SHA1'),
  (5, 'Alice', %s, 6, 30, 'SHA1');
insert into adjure_recovery_code values (1, 'alice', '0123456789abcdef0123456789abcdef', false), (2, 'alice', '11111111111111111111111111111111', true),
  (3, 'bob', '22222222222222222222222222222222', false), (4, 'alice', '33333333333333333333333333333333', false);
`

// adjured is what must have come from Adjure, whatever database it had.
func (v *mover) adjured() {
	v.Helper()
	// In a realm of ours names have one spelling, in the facade's they are what they are.
	v.want(v.move("adjure", "adjure.jsonl", "--realm", "users"), 2, 0, "line 3 invalid_name", "line 4 totp", "line 5 duplicate")
	if status, answer := v.ask(v.m.admin, http.MethodPut, "/realms/adjure", map[string]any{"names": "exact"}); status != 200 {
		v.Fatalf("%d %v", status, answer)
	}
	v.want(v.move("adjure", "adjure.jsonl"), 4, 0, "line 4 totp")
	v.want(v.move("adjure", "adjure.jsonl"), 0, 4, "line 4 totp")
	alice, bob := "/users/adjure/alice/verify", "/users/adjure/bob/verify"
	if got := v.verify("/users/adjure/Alice/verify", map[string]any{"code": v.oathtool(oldSeed, "--totp")}); got != "OK" {
		v.Errorf("Alice, who is not alice: %v", got)
	}
	for _, c := range []struct {
		path, field, code, first string
	}{
		{alice, "code", v.oathtool(oldSeed, "--totp=sha256"), "OK"},
		{bob, "code", v.oathtool(oldSeed, "--totp=sha512", "--digits=8", "--time-step-size=60s"), "OK"},
		{alice, "recovery_code", "0123456789abcdef0123456789abcdef", "OK"},
		{alice, "recovery_code", "11111111111111111111111111111111", "FAIL"}, // used there
		{alice, "recovery_code", "22222222222222222222222222222222", "FAIL"}, // of somebody else
		{bob, "recovery_code", "22222222222222222222222222222222", "OK"},
	} {
		if got := v.verify(c.path, map[string]any{c.field: c.code}); got != c.first {
			v.Errorf("%s %s: %v, want %s", c.path, c.code, got, c.first)
		}
		if got := v.verify(c.path, map[string]any{c.field: c.code}); got != "FAIL" {
			v.Errorf("%s %s again: %v", c.path, c.code, got)
		}
	}
	if a := v.show("/users/adjure/alice"); a["has_password"] != false {
		v.Errorf("alice: %v", a)
	}
	old := v.client(adjure.New(adjure.Options{Rooms: v.m.rooms, Common: compat.Common{Facade: "adjure", Realm: "adjure"}}))
	old.once("/user/authenticate", asJSON, `{"user_id": "bob", "auth_code": "`+v.later(oldSeed, time.Minute, "--totp=sha512", "--digits=8", "--time-step-size=60s")+`"}`)
	old.once("/user/recovery/authenticate", asJSON, `{"user_id": "alice", "recovery_code": "33333333333333333333333333333333"}`)
}

func TestMovingFromAdjure(t *testing.T) {
	v := newMover(t)
	blob := "x'" + seedHex + "'"
	v.sqlite("adjure.db", fmt.Sprintf(adjureSchema, "blob", blob, blob, blob, blob, blob))
	v.query("Adjure", "sqlite3", "adjure.jsonl")
	v.adjured()

	v = newMover(t)
	blob = `'\x` + seedHex + "'"
	v.postgres(fmt.Sprintf(adjureSchema, "bytea", blob, blob, blob, blob, blob))
	v.query("Adjure", "psql", "adjure.jsonl")
	v.adjured()
}

// Django's own columns are there because the query must do with them around.
const ungleichTables = `
create table otpauth_otpseed (id integer primary key, password varchar(128) not null, is_superuser boolean not null, username varchar(150) not null unique,
  email varchar(254) not null, is_active boolean not null, name varchar(128) not null, realm varchar(128) not null, seed varchar(128) not null, unique (name, realm));
insert into otpauth_otpseed values
  (1, '', false, 'a', '', true, 'deploy', 'ungleich-admin', 'JBSWY3DPEHPK3PXP'), (2, '', false, 'b', '', false, 'gone', 'ungleich-auth', 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'),
  (3, '', false, 'c', '', true, 'chief', 'admin', 'JBSWY3DPEHPK3PXP'), (4, '', false, 'd', '', true, 'fork', 'ungleich-admin', 'ABCDEFGHIJKL'),
  (5, '', false, 'e', '', true, 'deploy', 'ungleich-auth', 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP');
create table app (appname varchar(128), appid %s, username varchar(128), seed varchar(128), trusted boolean);
insert into app values ('shop', %s, 'nico', 'JBSWY3DPEHPK3PXP', true), ('other', '6b0c8bd4-0000-4000-8000-000000000002', 'nico', 'JBSWY3DP', false);
`

func (v *mover) ungleiched() {
	v.Helper()
	v.want(v.move("ungleich", "ungleich.jsonl"), 3, 0, "line 3 reserved", "line 4 seed")
	v.want(v.move("ungleich", "apps.jsonl"), 1, 0, "line 2 seed")
	v.want(v.move("ungleich", "apps.jsonl"), 0, 1, "line 2 seed")
	const app = "6b0c8bd4-0000-4000-8000-000000000001"
	for _, c := range []struct{ name, realm, seed, want string }{
		{"deploy", "ungleich-admin", shortSeed, "OK"}, {"deploy", "ungleich-auth", oldSeed, "OK"},
		{"gone", "ungleich-auth", oldSeed, "FAIL"}, {app, "ungleich-apps", shortSeed, "OK"}, {"deploy", "ungleich-admin", oldSeed, "FAIL"},
	} {
		if got := v.verify("/verify", map[string]any{"name": c.name, "realm": c.realm, "token": v.oathtool(c.seed, "--totp")}); got != c.want {
			v.Errorf("%s@%s: %v, want %s", c.name, c.realm, got, c.want)
		}
	}
	for _, realm := range []string{"ungleich-auth", "ungleich-apps"} { // made by the import
		if a := v.show("/realms/" + realm); a["names"] != "exact" {
			v.Errorf("the realm %s: %v", realm, a)
		}
	}
	if a := v.show("/services/ungleich-auth/gone"); a["disabled"] != true {
		v.Errorf("a service that was not active: %v", a)
	}
	if a := v.show("/services/ungleich-apps/" + app); a["description"] != "shop" {
		v.Errorf("an app: %v", a)
	}
	old := v.client(ungleich.New(ungleich.Options{Rooms: v.m.rooms, Common: compat.Common{Facade: "ungleich"}}))
	mine := `{"auth_name": "deploy", "auth_realm": "ungleich-admin", "auth_token": "` + v.oathtool(shortSeed, "--totp") + `", "name": "deploy", "realm": "ungleich-auth", "token": `
	old.post("/ungleichotp/verify/", asJSON, mine+`"`+v.oathtool(oldSeed, "--totp")+`"}`, 200)
	old.post("/ungleichotp/verify/", asJSON, mine+`"000000"}`, 403)
	theirs := `{"version": "1", "appid": "` + app + `", "token": "` + v.oathtool(shortSeed, "--totp") + `"`
	if got := old.post("/verify", asJSON, theirs+`, "appidtoverify": "`+app+`", "tokentoverify": "`+v.oathtool(shortSeed, "--totp")+`"}`, 200); got["status"] != "OK" {
		v.Errorf("a trusted app asks: %v", got)
	}
	// All of them into one realm: names that were two are one.
	v.want(v.move("ungleich", "ungleich.jsonl", "--realm", "robots"), 3, 0, "line 4 seed", "line 5 duplicate")
}

func TestMovingFromUngleich(t *testing.T) {
	v := newMover(t)
	v.postgres(fmt.Sprintf(ungleichTables, "uuid", "'6b0c8bd4-0000-4000-8000-000000000001'"))
	v.query("ungleich-otp", "psql", "ungleich.jsonl")
	v.query("The apps of ungleich-otp", "psql", "apps.jsonl")
	v.ungleiched()

	v = newMover(t)
	v.sqlite("db.sqlite3", fmt.Sprintf(ungleichTables, "char(32)", "'6b0c8bd4000040008000000000000001'"))
	v.query("ungleich-otp", "sqlite3", "ungleich.jsonl")
	v.query("The apps of ungleich-otp", "sqlite3", "apps.jsonl")
	v.ungleiched()
}

const fastapiTables = `
create type devicetypeenum as enum ('EMAIL', 'CODE_GENERATOR');
create table "user" (id serial primary key, full_name varchar, email varchar not null unique, hashed_password varchar not null, tfa_enabled boolean default false);
create table device (id serial primary key, key varchar, device_type devicetypeenum not null, user_id integer references "user");
create table backuptoken (id serial primary key, device_id integer references device, token varchar(8));
insert into "user" (email, full_name, hashed_password, tfa_enabled) values
  ('plain@example.com', null, 'HASH', false), ('mail@example.com', 'Mail', 'HASH', true), ('Visitor@example.com', null, 'HASH', null),
  ('bob@example.com', 'Bob', 'HASH', true), ('bob@other.example', 'Other Bob', 'HASH', false), ('a"b c@example.com', null, 'HASH', false), ('crypt@example.com', null, 'no hash', false);
insert into device (key, device_type, user_id) values ('TOKEN', 'EMAIL', 2), ('TOKEN', 'CODE_GENERATOR', 4);
insert into backuptoken (device_id, token) values (1, '111111'), (2, '418908'), (2, '000001'), (2, '777777');
`

func TestMovingFromFastAPI2FA(t *testing.T) {
	v := newMover(t)
	v.postgres(strings.NewReplacer("HASH", oldBcrypt, "TOKEN", oldToken).Replace(fastapiTables))
	v.query("fastapi_2fa", "psql", "fastapi2fa.jsonl")
	write := func(name, text string) string {
		path := filepath.Join(v.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, wrong := write("key", fernetKey+"\n"), write("wrong", "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=")
	v.realm("fastapi2fa", "--factors", "1")
	if _, stderr, code := v.run("user", "add", "visitor@fastapi2fa"); code != 0 { // has the name, and is somebody else
		t.Fatal(stderr)
	}
	file := filepath.Join(v.dir, "fastapi2fa.jsonl")
	if _, stderr, code := v.run("user", "import", "--from", "fastapi2fa", "--fernet-key-file", wrong, file); code != 1 || !strings.Contains(stderr, "line 1: the Fernet key does not open") {
		t.Errorf("a wrong key: %d %s", code, stderr)
	}
	if list, _, _ := v.run("user", "list", "--realm", "fastapi2fa", "--json"); strings.Contains(list, "bob") || strings.Contains(list, "plain") {
		t.Errorf("after a wrong key: %s", list)
	}

	refused := []string{"line 5 invalid_email", "line 6 not_hashed"}
	// Without mail nobody comes whose second factor was a code by mail, unless it is left out.
	v.want(v.move("fastapi2fa", "fastapi2fa.jsonl", "--fernet-key-file", key, "--realm", "without"), 4, 0, "line 3 unknown_method", "line 5 invalid_email", "line 6 not_hashed")
	c := v.move("fastapi2fa", "fastapi2fa.jsonl", "--fernet-key-file", key, "--leave-out", "email", "--realm", "bare")
	v.want(c, 5, 0, refused...)
	if len(c.Notes) != 1 || !strings.HasPrefix(c.Notes[0], "1 user has codes by mail") {
		t.Errorf("notes %q", c.Notes)
	}
	v.m.post.Offer(factor.Email)
	v.realm("fastapi2fa", "--factors", "1", "--methods", "totp,email")
	c = v.move("fastapi2fa", "fastapi2fa.jsonl", "--fernet-key-file", key)
	v.want(c, 5, 0, refused...)
	if len(c.Notes) != 0 {
		t.Errorf("notes %q", c.Notes)
	}
	for name, email := range map[string]string{"bob": "bob@example.com", "bob-5": "bob@other.example", "visitor": "", "visitor-3": "visitor@example.com", "mail": "mail@example.com"} {
		if a := v.show("/users/fastapi2fa/" + name); email != "" && a["email"] != email {
			t.Errorf("%s: %v", name, a)
		}
	}
	bob := map[string]any{"email": "bob@example.com", "realm": "fastapi2fa"}
	v.once(bob, "code", v.oathtool(oldSeed, "--totp"))
	v.once(bob, "recovery_code", "418908")
	v.once(bob, "recovery_code", "000001")
	for _, email := range []string{"plain@example.com", "bob@other.example"} {
		if a := v.halfway(map[string]any{"email": email, "realm": "fastapi2fa"}); a["status"] != "ok" {
			t.Errorf("%s: %v", email, a)
		}
	}
	// Again: nobody is made twice, and nobody's record goes to their namesake.
	v.want(v.move("fastapi2fa", "fastapi2fa.jsonl", "--fernet-key-file", key), 0, 5, refused...)
	if c := v.move("fastapi2fa", "fastapi2fa.jsonl", "--fernet-key-file", key, "--on-conflict", "update"); c.Updated != 0 || c.Exists != 5 {
		t.Errorf("with update: %+v", c)
	}
	old := v.client(fastapi2fa.New(fastapi2fa.Options{Rooms: v.m.rooms, Common: compat.Common{Facade: "fastapi2fa", Realm: "fastapi2fa"}}))
	login := "username=bob%40example.com&password=" + url.QueryEscape(oldPhrase)
	for _, c := range []struct {
		path, code string
		again      int // of a code that was used; of the last backup token nothing is left
	}{
		{"/api/v1/tfa/login_tfa?tfa_token=", v.later(oldSeed, 30*time.Second, "--totp"), 403},
		{"/api/v1/tfa/recover_tfa?tfa_backup_token=", "777777", 404},
	} {
		for _, status := range []int{200, c.again} {
			half := old.post("/api/v1/auth/login", asForm, login, 202)
			old.post(c.path+c.code, asForm, "", status, "Authorization: Bearer "+fmt.Sprint(half["access_token"]))
		}
	}
	// Whose second factor was a code by mail: it is sent, and the backup token came along.
	login = "username=mail%40example.com&password=" + url.QueryEscape(oldPhrase)
	for path, code := range map[string]func() string{
		"/api/v1/tfa/login_tfa?tfa_token=": func() string { return v.m.post.Last().Code }, "/api/v1/tfa/recover_tfa?tfa_backup_token=": func() string { return "111111" },
	} {
		half := old.post("/api/v1/auth/login", asForm, login, 202)
		if m := v.m.post.Last(); m.To != "mail@example.com" {
			t.Errorf("the code went to %q", m.To)
		}
		old.post(path+code(), asForm, "", 200, "Authorization: Bearer "+fmt.Sprint(half["access_token"]))
	}
	if a := v.show("/users/fastapi2fa/visitor"); a["email"] != nil && a["email"] != "" {
		t.Errorf("visitor: %v", a)
	}
}

const trenchTables = `
create table auth_user (id integer primary key, password varchar(128) not null, is_superuser boolean not null, username varchar(150) not null unique, first_name varchar(150) not null,
  last_name varchar(150) not null, email varchar(254) not null, is_staff boolean not null, is_active boolean not null);
create table trench_mfamethod (id integer primary key, name varchar(255) not null, secret varchar(255) not null, is_primary boolean not null, is_active boolean not null,
  _backup_codes text not null, user_id integer not null references auth_user (id));
insert into auth_user values (1, 'HASH', true, 'Alice', 'Al', 'Ice', 'alice@example.com', true, true), (2, 'HASH', false, 'plain', '', '', '', false, true),
  (3, 'HASH', false, 'gone', '', '', '', false, false), (4, '!x', false, 'mail', '', '', 'mail@example.com', false, true), (5, 'HASH', false, 'x@y', '', '', '', false, true),
  (6, 'secret', false, 'bad', '', '', '', false, true), (7, 'HASH', false, 'hashed', '', '', '', false, true);
insert into trench_mfamethod values (1, 'app', 'JBSWY3DPEHPK3PXP', true, true, 'BACKUP', 1), (2, 'email', 'ABCDEFGHIJKLMNOP', false, true, 'BACKUP', 1),
  (3, 'app', 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP', true, true, 'a1B2c3D4e5F6,aaaaBBBBcccc', 2), (4, 'email', 'ABCDEFGHIJKLMNOP', true, true, '', 4),
  (5, 'app', 'JBSWY3DPEHPK3PXP', false, false, '', 4), (6, 'app', 'JBSWY3DPEHPK3PXP', true, true, 'BACKUP', 7);
`

func (v *mover) trenched() {
	v.Helper()
	v.realm("trench", "--factors", "1")
	// Without mail nobody comes who had codes by mail, unless they are left out.
	v.want(v.move("trench", "trench.jsonl", "--realm", "without"), 3, 0, "line 1 unknown_method", "line 4 unknown_method", "line 5 invalid_name", "line 6 not_hashed")
	c := v.move("trench", "trench.jsonl", "--leave-out", "email")
	v.want(c, 5, 0, "line 5 invalid_name", "line 6 not_hashed")
	if len(c.Notes) != 2 || !strings.HasPrefix(c.Notes[0], "2 users have the method email") || !strings.HasPrefix(c.Notes[1], "1 user has no other") {
		v.Errorf("notes %q", c.Notes)
	}
	v.want(v.move("trench", "trench.jsonl", "--leave-out", "email"), 0, 5, "line 5 invalid_name", "line 6 not_hashed")
	who := func(name string) map[string]any { return map[string]any{"name": name, "realm": "trench"} }
	v.once(who("alice"), "code", v.oathtool(shortSeed, "--totp"))
	v.once(who("alice"), "recovery_code", "a1B2c3D4e5F6") // hashed there
	v.once(who("plain"), "code", v.oathtool(oldSeed, "--totp"))
	v.once(who("plain"), "recovery_code", "a1B2c3D4e5F6")
	if a := v.show("/users/trench/alice"); a["full_name"] != "Al Ice" || a["email"] != "alice@example.com" {
		v.Errorf("alice: %v", a)
	}
	if a := v.show("/users/trench/mail"); a["has_password"] != false {
		v.Errorf("mail: %v", a)
	}
	for _, dialect := range []compat.Dialect{compat.Dialect02, compat.Dialect03} {
		old := v.client(trench.New(trench.Options{Rooms: v.m.rooms, Common: compat.Common{Facade: "trench", Realm: "trench"}, Dialect: dialect}))
		codes := map[string]string{"alice": v.later(shortSeed, 30*time.Second, "--totp"), "plain": "aaaaBBBBcccc", "hashed": "a1B2c3D4e5F6"}
		first := map[compat.Dialect]int{compat.Dialect02: 200, compat.Dialect03: 401}[dialect] // the older dialect came first
		refused := map[compat.Dialect]int{compat.Dialect02: 400, compat.Dialect03: 401}[dialect]
		for name, code := range codes {
			for _, status := range []int{first, refused} {
				half := old.post("/auth/login/", asForm, "username="+name+"&password="+url.QueryEscape(oldPhrase), 200)
				old.post("/auth/login/code/", asForm, "code="+code+"&ephemeral_token="+fmt.Sprint(half["ephemeral_token"]), status)
			}
		}
	}
	gone := who("gone")
	gone["password"] = oldPhrase
	if status, answer := v.ask(v.m.network, http.MethodPost, "/login", gone); status != 401 {
		v.Errorf("who was disabled: %d %v", status, answer)
	}
}

func TestMovingFromTrench(t *testing.T) {
	tables := strings.NewReplacer("HASH", oldDjango, "BACKUP", oldBackup).Replace(trenchTables)
	v := newMover(t)
	v.sqlite("db.sqlite3", tables)
	v.query("django-trench", "sqlite3", "trench.jsonl")
	v.trenched()

	v = newMover(t)
	v.postgres(tables)
	v.query("django-trench", "psql", "trench.jsonl")
	v.trenched()
}

// The methods whose codes are sent come along, with the primary one, and the number where
// the user model has one and the query names it, as the manual says.
func TestMovingFromTrenchWithAllMethods(t *testing.T) {
	v := newMover(t)
	tables := strings.NewReplacer("HASH", oldDjango, "BACKUP", oldBackup).Replace(trenchTables)
	v.sqlite("db.sqlite3", tables+`
alter table auth_user add column phone_number varchar(12) not null default '';
update auth_user set phone_number = '+41791234589' where username in ('plain', 'hashed');
insert into trench_mfamethod values (7, 'sms_twilio', 'ABCDEFGHIJKLMNOP', true, true, '', 2), (8, 'pager', 'ABCDEFGHIJKLMNOP', false, true, '', 2), (9, 'sms_api', 'ABCDEFGHIJKLMNOP', false, true, '', 1);
update trench_mfamethod set is_primary = false where id = 3;`)
	v.edited("django-trench", "sqlite3", "trench.jsonl", "'email', u.email,", "'email', u.email, 'phone_number', u.phone_number,")
	v.m.post.Offer(factor.Email, factor.SMS, compattest.Pager)
	v.realm("trench", "--factors", "1", "--methods", "totp,email,sms,pager")
	v.want(v.move("trench", "trench.jsonl"), 4, 0, "line 1 no_target", "line 5 invalid_name", "line 6 not_hashed") // Alice had SMS, and no number
	v.want(v.move("trench", "trench.jsonl", "--leave-out", "sms"), 1, 4, "line 5 invalid_name", "line 6 not_hashed")
	for _, dialect := range []compat.Dialect{compat.Dialect02, compat.Dialect03} {
		old := v.client(trench.New(trench.Options{Rooms: v.m.rooms, Common: compat.Common{Facade: "trench", Realm: "trench"}, Dialect: dialect}))
		half := old.post("/auth/login/", asForm, "username=plain&password="+url.QueryEscape(oldPhrase), 200)
		if m := v.m.post.Last(); half["method"] != "sms_twilio" || m.To != "+41791234589" {
			t.Errorf("asked for %v, sent to %q", half["method"], m.To)
		}
		done := old.post("/auth/login/code/", asForm, "code="+v.m.post.Last().Code+"&ephemeral_token="+fmt.Sprint(half["ephemeral_token"]), 200)
		if fmt.Sprint(done["token"], done["access"]) == "" {
			t.Errorf("no token: %v", done)
		}
	}
	if got := v.second(map[string]any{"name": "plain", "realm": "trench"}, "recovery_code", "a1B2c3D4e5F6"); got != 200 {
		t.Errorf("a backup code: %d", got)
	}
}

// Codes of which each lives longer than usual: so it is said, or the realm has them.
func TestMovingFromTrenchWithAPeriod(t *testing.T) {
	for what, flags := range map[string][]string{"said": {"--totp-period", "60"}, "of the realm": nil} {
		v := newMover(t)
		v.sqlite("db.sqlite3", strings.NewReplacer("HASH", oldDjango, "BACKUP", oldBackup).Replace(trenchTables))
		v.query("django-trench", "sqlite3", "trench.jsonl")
		settings := map[string]any{"factors": 1, "otp": map[string]any{"algorithm": "SHA1", "digits": 6, "period": map[bool]int{true: 60, false: 90}[flags == nil]}}
		if status, answer := v.ask(v.m.admin, http.MethodPut, "/realms/trench", settings); status != 200 {
			t.Fatalf("%d %v", status, answer)
		}
		if c := v.move("trench", "trench.jsonl", append(flags, "--leave-out", "email")...); c.Created != 5 || len(c.Notes) != 3 || !strings.HasPrefix(c.Notes[0], "3 users have an authenticator whose codes live for 60 seconds") {
			t.Errorf("%s: %+v", what, c)
		}
		v.once(map[string]any{"name": "plain", "realm": "trench"}, "code", v.oathtool(oldSeed, "--totp", "--time-step-size=60s"))
	}
}

// Flags that cannot be, and a key that nobody can be asked for.
func TestMovingRefusesWrongCommandLines(t *testing.T) {
	v := newMover(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--from", "keycloak", "x"}, "--from: expected adjure, ungleich, fastapi2fa, trench"},
		{[]string{"--from", "trench", "--format", "jsonl", "x"}, "exclude each other"},
		{[]string{"--format", "trench", "x"}, "--format: expected"},
		{[]string{"--from", "trench", "--fernet-key-file", "x", "x"}, "goes with --from fastapi2fa"},
		{[]string{"--from", "fastapi2fa", "--totp-period", "60", "x"}, "goes with --from trench"},
		{[]string{"--from", "trench", "--totp-period", "0", "x"}, "--totp-period: 1 to 3600 seconds"},
		{[]string{"--from", "trench", "--totp-period", "3601", "x"}, "--totp-period: 1 to 3600 seconds"},
		{[]string{"--from", "fastapi2fa", "x"}, "give it with --fernet-key-file"},
		{[]string{"--leave-out", "email", "x"}, "--leave-out goes with --from trench or fastapi2fa"},
		{[]string{"--from", "trench", "--leave-out", "app", "x"}, "--leave-out: expected email, sms, yubikey, own"},
	} {
		if _, stderr, code := v.run(append([]string{"user", "import"}, c.args...)...); code != command.ExitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: %d %s", c.args, code, stderr)
		}
	}
}
