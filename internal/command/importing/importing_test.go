package importing_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sallyport-auth/sallyport/internal/command/importing"
)

// canaries stand in the samples and may stand in no refusal.
var canaries = []string{"correct", "abpWIu", "5f4dcc", "no colon", "G//4kete", "FiPhXf1s", "VN7LMka", "no end", "Xkjh3", "JBSW", "thrice", "pasword"}

type found struct {
	entries []importing.Entry
	err     error
	reader  *importing.Reader
}

// read reads text and shows each entry on a line, without its secrets.
func read(t testing.TB, format, text string) (f found) {
	t.Helper()
	f.reader, f.err = importing.Open(iotest.HalfReader(strings.NewReader(text)), format)
	if f.err != nil {
		return f
	}
	for e, err := range f.reader.Users() {
		if err != nil {
			f.err = err
			break
		}
		f.entries = append(f.entries, e)
	}
	for _, e := range f.entries {
		for _, canary := range canaries {
			if e.Refused != nil && strings.Contains(e.Refused.Message+e.Place, canary) {
				t.Errorf("a refusal shows what stands in the file: %+v", e.Refused)
			}
		}
		if printed := fmt.Sprintf("%+v %+v", e, e.TOTP); strings.Contains(printed, "correct horse") || strings.Contains(printed, "JBSW") || strings.Contains(printed, "FiPhXf1s") {
			t.Errorf("an entry prints its secrets: %s", printed)
		}
	}
	return f
}

func (f found) lines() []string {
	var list []string
	for _, e := range f.entries {
		if e.Refused != nil {
			list = append(list, e.Place+" refused "+e.Refused.Code)
			continue
		}
		text := e.Place + " " + e.Name
		for _, s := range []string{e.Realm, e.Email, e.FullName, e.Phone} {
			text += "|" + s
		}
		if e.Groups != nil {
			text += fmt.Sprintf(" %q", *e.Groups)
		}
		if e.Disabled != nil {
			text += fmt.Sprintf(" disabled=%v", *e.Disabled)
		}
		if !e.PasswordHash.IsZero() {
			text += " " + e.PasswordHash.Reveal()[:min(len(e.PasswordHash.Reveal()), 9)]
		}
		if !e.Password.IsZero() {
			text += " clear"
		}
		if e.TOTP != nil {
			text += fmt.Sprintf(" totp=%d/%d/%s", e.TOTP.Digits, e.TOTP.Period, e.TOTP.Algorithm)
		}
		list = append(list, text)
	}
	return list
}

func sample(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each sample is a file as its program writes it, with lines behind that cannot
// be read. The format is guessed, and every user and every refusal is there.
func TestFilesOfOtherPrograms(t *testing.T) {
	for _, c := range []struct {
		file, format string
		want, notes  []string
	}{
		{"htpasswd", importing.Apache, []string{
			"line 2 bea|||| $2y$05$ab", "line 3 apr|||| $apr1$abc", "line 5 sha|||| {SHA}q/eq", "line 6 six|||| $6$abcdef",
			"line 7 refused des_crypt", "line 8 refused not_hashed", "line 9 refused malformed", "line 10 refused malformed", "line 11 refused no_hash",
			"line 12 refused password_hash", "line 13 refused password_hash",
		}, nil},
		{"users_database.yml", importing.Authelia, []string{
			`line 8 authelia||authelia@authelia.com|Test User| ["admins" "dev"] disabled=false $argon2id`,
			`line 24 harry||harry.potter@authelia.com|Harry: Potter| [] $pbkdf2-s`,
			`line 29 quoted|||A name that goes on in the next line| disabled=true $6$abcdef`,
			`line 35 1234|||42| $6$abcdef`,
			"line 39 refused malformed", "line 41 refused malformed", "line 44 refused malformed", "line 47 refused malformed", "line 50 refused malformed",
			`line 51 last||last@authelia.com|| $6$abcdef`,
		}, nil},
		{"dump.json", importing.Django, []string{
			`pk 2 sha1|||| ["editors"] disabled=false pbkdf2_sh`, `pk 3 bcrypt|||B| ["editors"] disabled=true bcrypt_sh`, `pk 4 scrypt|||| [] disabled=false scrypt$16`,
			`pk 5 argon|||| [] disabled=false argon2$ar`, `pk 6 unusable|||| [] disabled=false`, "pk 7 refused not_hashed", "pk 9 refused malformed",
			`pk 6b0c8bd4-0000-4000-8000-000000000001 custom|||| disabled=false`,
			`pk 1 early||early@example.com|Ear Ly| ["Domain Admins" "editors"] disabled=false pbkdf2_sh`, "pk 8 refused unknown_group",
		}, []string{"ignored 2 objects of other models (contenttypes.contenttype, sessions.session)"}},
		{"users.jsonl", importing.JSONL, []string{
			`line 1 whole|staff|Whole@Example.com|Whole Record|+41 44 123 45 67 ["ops" "dev"] disabled=false $apr1$abc totp=8/30/SHA256`,
			"line 3 clear|||| clear", "line 4 bare||||", "line 5 refused malformed", "line 6 refused malformed", "line 7 refused malformed",
			"line 8 refused malformed", "line 9 refused malformed", "line 10 refused malformed",
		}, nil},
	} {
		text := sample(t, c.file)
		for variant, text := range map[string]string{"": text, "CRLF": strings.ReplaceAll(text, "\n", "\r\n"), "BOM": "\ufeff" + text, "no last line end": strings.TrimSuffix(text, "\n")} {
			f := read(t, "", text)
			if f.err != nil || f.reader.Format() != c.format {
				t.Errorf("%s %s: format %v, %v", c.file, variant, f.reader, f.err)
				continue
			}
			if got := f.lines(); !slices.Equal(got, c.want) {
				t.Errorf("%s %s:\n%s\nwant\n%s", c.file, variant, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if !slices.Equal(f.reader.Notes(), c.notes) {
				t.Errorf("%s: notes %q", c.file, f.reader.Notes())
			}
		}
	}
}

// What cannot be read at all is one error that says what to do.
func TestFilesThatCannotBeRead(t *testing.T) {
	for _, c := range []struct{ format, text, want string }{
		{"", "", "the file is empty"},
		{"", " \n\n", "the file is empty"},
		{"", "\xff\xfea\x00", "iconv -f utf-16"},
		{"", "hello world\n", "name it with --format (htpasswd, authelia, django, jsonl)"},
		{"", "# nothing but a comment\n", "cannot be guessed"},
		{"csv", "a:b\n", "expected htpasswd"},
		{importing.Authelia, "user:\n  alice:\n", "no map `users:`"},
		{importing.Authelia, "users: {alice: {password: x}}\n", "on lines of its own"},
		{importing.Authelia, "users:\n\talice:\n\t\tpassword: x\n", "indented with a tab"},
		{importing.Authelia, "users:\n# nobody\n\t\n", "no user below"},
		{importing.Authelia, "users:\n  alice:\n    password: x\nusers:\n", "a second `users:`"},
		{importing.Django, `{"model":"auth.user"}`, "a list of objects is expected"},
		{importing.Django, `[{"model":"auth.user"`, "not well-formed JSON"},
		{importing.Django, `[{"model":"auth.user"} x`, "not well-formed JSON"},
		{importing.Django, `[] []`, "something follows"},
		{importing.Django, `[]`, "there is no user in this dump"},
		{"", `[{"name":"alice","password":"x"}]`, "an object a line without brackets"},
		{importing.Django, `[{"model":"` + strings.Repeat("x", 2<<20) + `"}]`, "more than 1024 KiB"},
		{importing.Django, `[` + strings.Repeat(" ", 2<<20) + `{}]`, "more than 1024 KiB"},
	} {
		f := read(t, c.format, c.text)
		if f.err == nil || !strings.Contains(f.err.Error(), c.want) {
			t.Errorf("%s %.40q: %v, want %q", c.format, c.text, f.err, c.want)
		}
	}
}

// Somebody gives a file whose lines have no end, and hopes for our memory. Each
// is refused alone, and the next is read.
func TestEntriesAreBounded(t *testing.T) {
	long := strings.Repeat("x", 5<<20)
	for _, c := range []struct{ format, text, want string }{
		{importing.Apache, "a:" + long + "\nb:" + long + "\nsha:{SHA}q/eq1kOINtvlJqojGr3i0O73TUI=", "line 1 refused too_large,line 2 refused too_large,line 3 sha|||| {SHA}q/eq"},
		{importing.JSONL, `{"name":"` + long + "\"}\n{\"name\":\"b\"}", "line 1 refused too_large,line 2 b||||"},
		{importing.JSONL, strings.Repeat("[", 10<<10) + "\n{\"name\":\"b\"}", "line 1 refused malformed,line 2 b||||"},
		{importing.Authelia, "users:\n  a:\n    password: " + long + "\n  b:\n" + strings.Repeat("    x: y\n", 1<<20) + "  c:\n    password: abpWIu4f4hFp2\n", "line 2 refused too_large,line 4 refused too_large,line 1048581 refused des_crypt"},
		{importing.Authelia, "users:\n  a:\n    password: " + strings.Repeat("[", 10<<10) + "\n  c:\n    password: abpWIu4f4hFp2\n", "line 2 refused malformed,line 4 refused des_crypt"},
		{importing.Authelia, "users:\n  a:\n    password: &a [x]\n    groups: " + strings.Repeat("- ", 5<<10) + "\n", "line 2 refused malformed"},
		{importing.Authelia, "users:\n    a:\n      password: x\n   b:\n      password: x\n", "line 2 refused malformed"},
		{importing.Apache, "m\xfcller:{SHA}q/eq1kOINtvlJqojGr3i0O73TUI=\n", "line 1 refused not_utf8"},
		{importing.Authelia, "users:\n  a:\n    displayname: M\xfcller\n", "line 2 refused not_utf8"},
		{importing.Django, "[{\"model\":\"auth.user\",\"pk\":1,\"fields\":{\"username\":\"m\xfcller\",\"password\":\"!\"}}]", "pk 1 refused not_utf8"},
		{importing.Django, `[1,{"model":7},{"model":"auth.user","pk":{"a":1},"fields":[]},{"model":"a.b","fields":null}]`, "object 3 refused malformed"},
	} {
		f := read(t, c.format, c.text)
		if got := strings.Join(f.lines(), ","); f.err != nil || got != c.want {
			t.Errorf("%s %.40q: %v, %v, want %q", c.format, c.text, got, f.err, c.want)
		}
	}
}

// A user whose YAML cannot be read is named all the same.
func TestAnUnreadableBlockIsNamed(t *testing.T) {
	f := read(t, "", sample(t, "users_database.yml"))
	var named []string
	for _, e := range f.entries {
		if e.Refused != nil {
			named = append(named, e.Name)
		}
	}
	if want := []string{"alias", "broken", "odd", "maybe", "nobody"}; !slices.Equal(named, want) {
		t.Errorf("%q, want %q", named, want)
	}
}

// zeros is a file that never ends.
type zeros struct{ left int }

func (z *zeros) Read(p []byte) (int, error) {
	n := min(len(p), z.left)
	z.left -= n
	if n == 0 {
		return 0, fmt.Errorf("the disk is gone")
	}
	clear(p[:n])
	return n, nil
}

// A line of a gigabyte is read in the memory of a short one, and a disk that
// fails is an error and no end of the file.
func TestALineOfAGigabyte(t *testing.T) {
	r, err := importing.Open(&zeros{left: 1 << 30}, importing.JSONL)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, err = range r.Users() {
	}
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("the error of the file: %v", err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d KiB were allocated", grown>>10)
	}
}

func FuzzUsers(f *testing.F) {
	for _, name := range []string{"htpasswd", "users_database.yml", "dump.json", "users.jsonl"} {
		f.Add([]byte(sample(f, name)))
	}
	f.Add([]byte("users:\n  a: &a\n    password: *a\n    <<: *a\n    groups: !!set {a}\n"))
	f.Add([]byte("users:\n \ta:\n  ? b\n  : c\n  - d\n  'e': |2-\n     f\n"))
	f.Add([]byte("[{\"model\":\"auth.user\",\"pk\":null,\"fields\":{\"username\":\"\\ud800\",\"password\":\"\",\"groups\":[[],[1],{}]}}]"))
	f.Add([]byte(`{"user_id":"a","secret":"00","key_length":6,"key_valid_duration":30,"hash_algorithm":"SHA1","recovery_codes":["a"]}`))
	f.Add([]byte(`{"name":"a","realm":"b","seed":"JBSWY3DPEHPK3PXP","is_active":1}` + "\n" + `{"appname":"a","appuuid":"6b0c8bd4000040008000000000000002","seed":""}`))
	f.Add([]byte(`{"id":1,"email":"a@b","hashed_password":"$2y$05$abcdefghijklmnopqrstuuFiPhXf1sVd3pCCRO.uVh34H/qI/ZsuS","tfa_enabled":true,"device_type":"CODE_GENERATOR","key":"` + pythonSeed + `","backup_tokens":["1"]}`))
	f.Add([]byte(`{"username":"a","password":"!","is_active":1,"methods":[{"name":"app","secret":"A","is_active":true,"backup_codes":"a,b|pbkdf2_sha1$1$a$b"}]}`))
	key := fernet(f, pythonKey)
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, format := range slices.Concat(importing.Formats(), importing.Systems(), []string{""}) {
			r, err := importing.From(bytes.NewReader(text), format, key)
			if err != nil {
				continue
			}
			for e, err := range r.Users() {
				if err == nil && e.Place == "" {
					t.Fatalf("%s: an entry without its place", format)
				}
			}
		}
	})
}
