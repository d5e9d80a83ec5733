package adjure_test

import (
	"encoding/json"
	"image/png"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/web/compat/adjure"
)

var hex32 = regexp.MustCompile(`^[0-9a-f]{32}$`)

// POST /user/provision, as the table has it.
func TestProvision(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct {
		body string
		want otp.Params
	}{
		{`{"user_id": "a"}`, otp.Params{Algorithm: otp.SHA256, Digits: 6, Period: 30}},
		{`{"user_id": ""}`, otp.Params{Algorithm: otp.SHA256, Digits: 6, Period: 30}},
		{`{"user_id": "b", "key_length": 6.0}`, otp.Params{Algorithm: otp.SHA256, Digits: 6, Period: 30}},
		{`{"user_id": "c", "key_length": 8, "key_valid_duration": 60, "hash_algorithm": "SHA512"}`, otp.Params{Algorithm: otp.SHA512, Digits: 8, Period: 60}},
		{`{"user_id": "d", "key_valid_duration": 0}`, otp.Params{Algorithm: otp.SHA256, Digits: 6, Period: 30}},
		{`{"user_id": "e", "key_valid_duration": 1, "hash_algorithm": "SHA1"}`, otp.Params{Algorithm: otp.SHA1, Digits: 6, Period: 1}},
		{`{"user_id": "f", "key_valid_duration": 3600.0}`, otp.Params{Algorithm: otp.SHA256, Digits: 6, Period: 3600}},
		{`{"user_id": "g", "user_id": "twice"}`, otp.Params{Algorithm: otp.SHA256, Digits: 6, Period: 30}},
		{"\n {\"user_id\": \"Ünï @/,: 日本\"}\t", otp.Params{Algorithm: otp.SHA256, Digits: 6, Period: 30}},
		{`{"user_id": "A"}`, otp.Params{Algorithm: otp.SHA256, Digits: 6, Period: 30}},
	} {
		a := h.Do("POST", "/user/provision", c.body, "Content-Type: text/plain")
		var got struct {
			User  *string  `json:"user_id"`
			Codes []string `json:"recovery_codes"`
		}
		var names map[string]any
		if err := json.Unmarshal([]byte(a.Body), &got); err != nil || a.Status != 200 || got.User == nil || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", c.body, a.Status, a.Body)
			continue
		}
		h.Must(json.Unmarshal([]byte(a.Body), &names))
		var sent struct {
			User string `json:"user_id"`
		}
		h.Must(json.Unmarshal([]byte(c.body), &sent))
		if *got.User != sent.User || len(got.Codes) != 10 || len(names) != 2 {
			t.Errorf("%s: %s", c.body, a.Body)
		}
		for _, code := range got.Codes {
			if !hex32.MatchString(code) {
				t.Errorf("a recovery code is %q", code)
			}
		}
		p := h.person(*got.User, got.Codes)
		if p.Params != c.want {
			t.Errorf("%s: %+v", c.body, p.Params)
		}
		h.empty("its code after "+c.body, p.authenticate(p.code()))
	}
}

func TestProvisionRefuses(t *testing.T) {
	h := newHouse(t)
	h.provision("taken")
	for _, c := range []struct{ body, code, text string }{
		{`{"user_id": "taken"}`, "USER_PROVISION_FAILURE", "User id taken already provisioned."},
		{`{"user_id": "` + strings.Repeat("x", 129) + `"}`, "USER_PROVISION_FAILURE", "This user id cannot be used: at most 128 bytes without control characters are expected."},
		{`{"user_id": "a\u0000b"}`, "USER_PROVISION_FAILURE", "This user id cannot be used: at most 128 bytes without control characters are expected."},
		{`{"user_id": "a\nb"}`, "USER_PROVISION_FAILURE", "This user id cannot be used: at most 128 bytes without control characters are expected."},
		{`{}`, "INVALID_PARAMS", "'user_id' is a required property"},
		{`{"userid": "x"}`, "INVALID_PARAMS", "'user_id' is a required property"},
		{`{"user_id": 2}`, "INVALID_PARAMS", "2 is not of type 'string'"},
		{`{"user_id": null}`, "INVALID_PARAMS", "None is not of type 'string'"},
		{`{"user_id": ["x"]}`, "INVALID_PARAMS", "['x'] is not of type 'string'"},
		{`{"user_id": {"a": true}}`, "INVALID_PARAMS", "{'a': True} is not of type 'string'"},
		{`{"user_id": "x", "key_length": 7}`, "INVALID_PARAMS", "7 is not one of [6, 8]"},
		{`{"user_id": "x", "key_length": null}`, "INVALID_PARAMS", "None is not of type 'number'"},
		{`{"user_id": "x", "key_length": "6"}`, "INVALID_PARAMS", "'6' is not of type 'number'"},
		{`{"user_id": "x", "key_length": true}`, "INVALID_PARAMS", "True is not of type 'number'"},
		{`{"user_id": "x", "hash_algorithm": "MD5"}`, "INVALID_PARAMS", "'MD5' is not one of ['SHA1', 'SHA256', 'SHA512']"},
		{`{"user_id": "x", "hash_algorithm": "sha1"}`, "INVALID_PARAMS", "'sha1' is not one of ['SHA1', 'SHA256', 'SHA512']"},
		{`{"user_id": "x", "key_valid_duration": "30"}`, "INVALID_PARAMS", "'30' is not of type 'number'"},
		{`{"user_id": "x", "key_valid_duration": -30}`, "INVALID_PARAMS", "-30 is less than the minimum of 0"},
		{`{"user_id": "x", "key_valid_duration": 2.5}`, "INVALID_PARAMS", "2.5 is not a multiple of 1"},
		{`{"user_id": "x", "key_valid_duration": 3601}`, "INVALID_PARAMS", "3601 is greater than the maximum of 3600"},
		{`{"user_id": "x", "key_valid_duration": 1e999}`, "INVALID_PARAMS", "inf is greater than the maximum of 3600"},
		{`{"user_id": "x", "key_valid_duration": 99999999999999999999}`, "INVALID_PARAMS", "99999999999999999999 is greater than the maximum of 3600"},
		{`{"user_id": "x", "surprise": 1}`, "INVALID_PARAMS", "Additional properties are not allowed ('surprise' was unexpected)"},
		{`{"z": 1, "user_id": "x", "a": 1}`, "INVALID_PARAMS", "Additional properties are not allowed ('a', 'z' were unexpected)"},
		{`[1]`, "INVALID_PARAMS", "[1] is not of type 'object'"},
		{`null`, "INVALID_PARAMS", "None is not of type 'object'"},
		{`"x"`, "INVALID_PARAMS", "'x' is not of type 'object'"},
		{`12.50`, "INVALID_PARAMS", "12.5 is not of type 'object'"},
	} {
		h.problem(c.body, h.Do("POST", "/user/provision", c.body), 400, c.code, c.text)
	}
	h.provision("x") // nothing of the above made anybody
}

// GET /user/auth_code.
func TestAuthCode(t *testing.T) {
	h := newHouse(t, oracle)
	p := h.provision("1 2&3")
	eight := h.provision("eight", `"key_length": 8`)
	for path, who := range map[string]*person{"/user/auth_code?user_id=1+2%263": p, "/user/auth_code?&x=y&user_id=eight&user_id=other": eight} {
		a := h.Do("GET", path, "")
		var got map[string]string
		if json.Unmarshal([]byte(a.Body), &got) != nil || a.Status != 200 || len(got) != 1 || got["code"] != who.code() || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s, oathtool says %s", path, a.Status, a.Body, who.code())
		}
	}
	if a := h.Do("HEAD", "/user/auth_code?user_id=eight", ""); a.Status != 200 || a.Body != "" {
		t.Errorf("HEAD: %d %q", a.Status, a.Body)
	}
	h.problem("nobody named", h.Do("GET", "/user/auth_code", ""), 400, "INVALID_PARAMS", "'user_id' is a required property")
	h.problem("unknown", h.Do("GET", "/user/auth_code?user_id=nobody", ""), 400, "USER_NOT_FOUND", "User nobody has not been provisioned")
	h.problem("no text", h.Do("GET", "/user/auth_code?user_id=%ff%00", ""), 400, "USER_NOT_FOUND", "User \ufffd\x00 has not been provisioned")
	h.problem("no escape", h.Do("GET", "/user/auth_code?user_id=100%", ""), 400, "USER_NOT_FOUND", "User 100% has not been provisioned")
	h.empty("its code is not burned by reading", p.authenticate(p.code()))
}

// POST /user/authenticate.
func TestAuthenticate(t *testing.T) {
	h := newHouse(t)
	p := h.provision("123")
	for _, c := range []struct{ body, code, text string }{
		{object("user_id", "nobody", "auth_code", "123456"), "VALIDATION_FAILURE", "nobody is not a known user."},
		{object("user_id", "123 ", "auth_code", "123456"), "VALIDATION_FAILURE", "123  is not a known user."},
		{object("user_id", strings.Repeat("n", 300), "auth_code", ""), "VALIDATION_FAILURE", strings.Repeat("n", 300) + " is not a known user."},
		{`{}`, "INVALID_PARAMS", "'user_id' is a required property"},
		{`{"user_id": "123"}`, "INVALID_PARAMS", "'auth_code' is a required property"},
		{`{"auth_code": "123456"}`, "INVALID_PARAMS", "'user_id' is a required property"},
		{`{"user_id": "123", "auth_code": 123456}`, "INVALID_PARAMS", "123456 is not of type 'string'"},
		{`{"user_id": "123", "auth_code": null}`, "INVALID_PARAMS", "None is not of type 'string'"},
		{`{"user_id": "123", "auth_code": []}`, "INVALID_PARAMS", "[] is not of type 'string'"},
	} {
		h.problem(c.body, h.Do("POST", "/user/authenticate", c.body), 400, c.code, c.text)
	}
	for _, code := range []string{p.wrong(), "", p.code()[:5], p.code() + "0"} {
		h.problem("the code "+code, p.authenticate(code), 400, "VALIDATION_FAILURE", wrongCode)
	}
	h.empty("a good code, and a property that nobody knows", h.Do("POST", "/user/authenticate", `{"user_id": "123", "auth_code": "`+p.code()+`", "more": 1}`))
	for name, away := range map[string]time.Duration{"the step after": 30 * time.Second, "the step before": -30 * time.Second} {
		q := h.provision(name)
		h.Time.Advance(away)
		code := q.code()
		h.Time.Advance(-away)
		h.empty(name, q.authenticate(code))
	}
	for name, away := range map[string]time.Duration{"two steps after": time.Minute, "two steps before": -time.Minute} {
		q := h.provision(name)
		h.Time.Advance(away)
		code := q.code()
		h.Time.Advance(-away)
		h.problem(name, q.authenticate(code), 400, "VALIDATION_FAILURE", wrongCode)
	}
}

// POST /user/recovery/authenticate and /user/recovery/regenerate.
func TestRecovery(t *testing.T) {
	h := newHouse(t)
	p := h.provision("alice")
	h.empty("a good one", p.recover(p.codes[3]))
	h.problem("used", p.recover(p.codes[3]), 400, "INVALID_RECOVERY_CODE", wrongRecovery)
	h.problem("in capitals", p.recover(strings.ToUpper(p.codes[4])), 400, "INVALID_RECOVERY_CODE", wrongRecovery)
	h.problem("unknown", p.recover(strings.Repeat("0", 32)), 400, "INVALID_RECOVERY_CODE", wrongRecovery)
	h.empty("the next one", p.recover(p.codes[4]))
	path := "/user/recovery/authenticate"
	h.problem("nobody", h.Do("POST", path, object("user_id", "x", "recovery_code", p.codes[0])), 400, "USER_NOT_FOUND", "User x has not been provisioned")
	h.problem("no code", h.Do("POST", path, object("user_id", "alice")), 400, "INVALID_PARAMS", "'recovery_code' is a required property")
	h.problem("no user", h.Do("POST", path, object("recovery_code", "x")), 400, "INVALID_PARAMS", "'user_id' is a required property")
	h.problem("a number", h.Do("POST", path, `{"user_id": "alice", "recovery_code": 1}`), 400, "INVALID_PARAMS", "1 is not of type 'string'")

	path = "/user/recovery/regenerate"
	a := h.Do("POST", path, object("user_id", "alice"))
	var got struct {
		User  string   `json:"user_id"`
		Codes []string `json:"recovery_codes"`
	}
	if json.Unmarshal([]byte(a.Body), &got) != nil || a.Status != 200 || got.User != "alice" || len(got.Codes) != 10 || !hex32.MatchString(got.Codes[9]) {
		t.Fatalf("regenerate: %d %s", a.Status, a.Body)
	}
	h.problem("of the old set", p.recover(p.codes[0]), 400, "INVALID_RECOVERY_CODE", wrongRecovery)
	h.empty("of the new set", p.recover(got.Codes[0]))
	h.problem("nobody's set", h.Do("POST", path, object("user_id", "x")), 400, "USER_NOT_FOUND", "User x has not been provisioned")
	h.problem("no name", h.Do("POST", path, `{}`), 400, "INVALID_PARAMS", "'user_id' is a required property")
	h.empty("TOTP is as it was", p.authenticate(p.code()))
}

// GET /user/qrcode.
func TestQRCode(t *testing.T) {
	h := newHouse(t)
	p := h.provision("42", `"key_valid_duration": 45`)
	a := h.Do("GET", "/user/qrcode?issuer=Iss+uer&username=foo%20bar%40x&user_id=42", "")
	want := "otpauth://totp/Iss%20uer:foo%20bar%40x?digits=6&secret=" + p.seed + "&algorithm=SHA256&issuer=Iss+uer&period=45"
	if a.Status != 200 || a.Header.Get("Content-Type") != "image/png" {
		t.Fatalf("%d %s %s", a.Status, a.Header.Get("Content-Type"), a.Body)
	}
	if got := h.zbarimg(a.Body); got != want {
		t.Errorf("zbarimg reads %s\nwant %s", got, want)
	}
	if a := h.Do("HEAD", "/user/qrcode?issuer=a&username=b&user_id=42", ""); a.Status != 200 || a.Body != "" || a.Header.Get("Content-Type") != "image/png" {
		t.Errorf("HEAD: %d %v %q", a.Status, a.Header, a.Body)
	}
	h.zbarimg(h.Do("GET", "/user/qrcode?user_id=42&issuer="+strings.Repeat("%C3%BC", 128)+"&username="+strings.Repeat("%C3%BC", 128), "").Body)
	if got := h.zbarimg(h.Do("GET", "/user/qrcode?user_id=42&issuer=&username=a/b:c", "").Body); !strings.HasPrefix(got, "otpauth://totp/a/b%3Ac?digits=6&secret=") || !strings.HasSuffix(got, "&issuer=&period=45") {
		t.Errorf("without an issuer: %s", got)
	}
	for path, text := range map[string]string{
		"/user/qrcode":                     "'user_id' is a required property",
		"/user/qrcode?user_id=42":          "'issuer' is a required property",
		"/user/qrcode?user_id=42&issuer=a": "'username' is a required property",
		"/user/qrcode?user_id=42&username=&issuer=" + strings.Repeat("x", 257):     "issuer and username have at most 256 bytes each.",
		"/user/qrcode?user_id=42&username=a&issuer=" + strings.Repeat("a%ff", 128): "issuer and username have at most 256 bytes each.",
		"/user/qrcode?user_id=42&issuer=&username=" + strings.Repeat("x", 257):     "issuer and username have at most 256 bytes each.",
	} {
		h.problem(path, h.Do("GET", path, ""), 400, "INVALID_PARAMS", text)
	}
	if a := h.Do("GET", "/user/qrcode?user_id=x&issuer=a&username=b", ""); a.Status != 404 || a.Body != "User not found" || a.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("nobody: %d %v %q", a.Status, a.Header, a.Body)
	}
}

// The picture of a usual text has the original's side: 49 modules of 10 pixels. Our encoder
// cuts a seed into numbers and letters in another way than the original's, and one of some
// twenty seeds needs a version more.
func TestThePictureIsAsLargeAsTheOriginals(t *testing.T) {
	h := newHouse(t)
	usual := 0
	for _, id := range []string{"42", "43", "44", "45", "46"} {
		h.provision(id, `"key_length": 6`)
		a := h.Do("GET", "/user/qrcode?issuer=Example&username=bob&user_id="+id, "")
		size, err := png.DecodeConfig(strings.NewReader(a.Body))
		h.Must(err)
		if size.Width != size.Height || size.Width != 490 && size.Width != 530 {
			t.Errorf("the picture has %d×%d pixels", size.Width, size.Height)
		}
		if size.Width == 490 {
			usual++
		}
	}
	if usual < 2 {
		t.Errorf("%d of 5 pictures have the original's side", usual)
	}
}

// GET /healthcheck.
func TestHealthcheck(t *testing.T) {
	h := newHouse(t)
	h.empty("in health", h.Do("GET", "/healthcheck", ""))
	h.Must(h.Store.Close())
	a := h.Do("GET", "/healthcheck", "")
	h.problem("without a store", a, 503, "UNAVAILABLE", "The gateway cannot answer at this moment.")
	if a.Header.Get("Retry-After") == "" {
		t.Error("nobody says when to come again")
	}
	h.problem("a code without a store", h.Do("POST", "/user/authenticate", object("user_id", "a", "auth_code", "123456")), 503, "UNAVAILABLE", "The gateway cannot answer at this moment.")
}

// Paths, methods and bodies that the original leaves to its framework.
func TestPagesOfTheFramework(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"/user", "/user/", "/user/x", "/user/qrcode/", "/user/provision/", "/user//qrcode", "/user/QRCODE", "/user/recovery", "/healthcheck/"} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			h.page(method+" "+path, h.Do(method, path, "{}"), 404, pageMissing)
		}
	}
	posts := []string{"/user/provision", "/user/authenticate", "/user/recovery/authenticate", "/user/recovery/regenerate"}
	gets := []string{"/user/auth_code", "/user/qrcode", "/healthcheck"}
	for allow, paths := range map[string][]string{"OPTIONS, POST": posts, "GET, HEAD, OPTIONS": gets} {
		for _, path := range paths {
			methods := []string{"PUT", "PATCH", "DELETE", "TRACE", "ODD"}
			if allow == "OPTIONS, POST" {
				methods = append(methods, "GET")
			} else {
				methods = append(methods, "POST")
			}
			for _, method := range methods {
				a := h.Do(method, path, "")
				h.page(method+" "+path, a, 405, pageMethod)
				if a.Header.Get("Allow") != allow {
					t.Errorf("%s %s: Allow %q", method, path, a.Header.Get("Allow"))
				}
			}
			if a := h.Do("OPTIONS", path, ""); a.Status != 200 || a.Body != "" || a.Header.Get("Allow") != allow {
				t.Errorf("OPTIONS %s: %d %v %q", path, a.Status, a.Header, a.Body)
			}
		}
	}
	for _, path := range posts {
		for _, body := range []string{"", " ", "{", "{]", `{"user_id": "x"} trailing`, `{"user_id": "x"}{}`, "user_id=x", "{\"user_id\": \"\xff\"}", `{"user_id": "\ud800"}`, `{'user_id': 'x'}`, "\x00", `{"user_id": "x",}`, strings.Repeat("[", 60000), strings.Repeat(`{"a":`, 9000)} {
			h.page(path+" "+body[:min(len(body), 40)], h.Do("POST", path, body, "Content-Type: application/json"), 400, pageBad)
		}
		h.page(path+" too large", h.Do("POST", path, object("user_id", strings.Repeat("x", 64<<10))), 413, pageLarge)
	}
	h.page("65 lists", h.Do("POST", "/user/provision", strings.Repeat("[", 66)+strings.Repeat("]", 66)), 400, pageBad)
	h.problem("64 lists", h.Do("POST", "/user/provision", strings.Repeat("[", 65)+strings.Repeat("]", 65)), 400, "INVALID_PARAMS", strings.Repeat("[", 65)+strings.Repeat("]", 65)+" is not of type 'object'")
	if a := h.Do("POST", "/user/recovery/regenerate", object("user_id", "<é&>")); a.Body != "{\n  \"error_code\": \"USER_NOT_FOUND\",\n  \"error_message\": \"User <\\u00e9&> has not been provisioned\"\n}\n" {
		t.Errorf("JSON is written as %s", a.Body)
	}
	h.empty("an escaped path", h.Do("GET", "/healthcheck?x=%zz&;", ""))
	if a := h.Do("GET", "/user/%71rcode", ""); a.Status != 400 {
		t.Errorf("an escaped path: %d", a.Status)
	}
}

// The message of the library, whole: what is wrong, where in the schema, on what. The
// texts were printed by Python's jsonschema 4.26 with names in order, as the age of
// the original had them.
func TestTheLibrarysMessage(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/user/authenticate", `{"user_id": "x"}`, "'auth_code' is a required property\n\nFailed validating 'required' in schema:\n    {'properties': {'auth_code': {'type': 'string'},\n                    'user_id': {'type': 'string'}},\n     'required': ['user_id', 'auth_code'],\n     'type': 'object'}\n\nOn instance:\n    {'user_id': 'x'}"},
		{"POST", "/user/provision", `{"user_id": "x", "key_length": 7}`, "7 is not one of [6, 8]\n\nFailed validating 'enum' in schema['properties']['key_length']:\n    {'enum': [6, 8], 'type': 'number'}\n\nOn instance['key_length']:\n    7"},
		{"POST", "/user/recovery/regenerate", `[1, {"b": 1e5, "a": "it's"}]`, "[1, {'b': 100000.0, 'a': \"it's\"}] is not of type 'object'\n\nFailed validating 'type' in schema:\n    {'properties': {'user_id': {'type': 'string'}},\n     'required': ['user_id'],\n     'type': 'object'}\n\nOn instance:\n    [1, {'a': \"it's\", 'b': 100000.0}]"},
		{"GET", "/user/auth_code?a=b&c=", "", "'user_id' is a required property\n\nFailed validating 'required' in schema:\n    {'properties': {'user_id': {'type': 'string'}},\n     'required': ['user_id'],\n     'type': 'object'}\n\nOn instance:\n    ImmutableMultiDict([('a', '[secret]'), ('c', '[secret]')])"},
		{"POST", "/user/authenticate", `{"user_id": "x", "auth_code": 314159}`, "314159 is not of type 'string'\n\nFailed validating 'type' in schema['properties']['auth_code']:\n    {'type': 'string'}\n\nOn instance['auth_code']:\n    '[secret]'"},
		{"POST", "/user/authenticate", `{"auth_code": "314159"}`, "'user_id' is a required property\n\nFailed validating 'required' in schema:\n    {'properties': {'auth_code': {'type': 'string'},\n                    'user_id': {'type': 'string'}},\n     'required': ['user_id', 'auth_code'],\n     'type': 'object'}\n\nOn instance:\n    {'auth_code': '[secret]'}"},
	} {
		a := h.Do(c.method, c.path, c.body)
		var got map[string]string
		if json.Unmarshal([]byte(a.Body), &got) != nil || got["error_message"] != c.want {
			t.Errorf("%s %s: got\n%s\nwant\n%s", c.path, c.body, got["error_message"], c.want)
		}
	}
}

// The README of the seed, as it stands there.
func TestReadme(t *testing.T) {
	h := newHouse(t, func(o *adjure.Options) { o.CodeOracle = true })
	a := h.Do("POST", "/user/provision", `{"user_id": "123", "key_length": 6, "key_valid_duration": 30, "hash_algorithm": "SHA256"}`, "Content-Type: application/json")
	var user struct {
		Codes []string `json:"recovery_codes"`
		ID    string   `json:"user_id"`
	}
	if json.Unmarshal([]byte(a.Body), &user) != nil || len(user.Codes) != 10 || user.ID != "123" || !hex32.MatchString(user.Codes[0]) {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	picture := h.Do("GET", "/user/qrcode?issuer=Adjure&username=Foobar&user_id=123", "")
	if text := h.zbarimg(picture.Body); picture.Header.Get("Content-Type") != "image/png" || !strings.HasPrefix(text, "otpauth://totp/Adjure:Foobar?digits=6&secret=") {
		t.Errorf("%v %s", picture.Header, text)
	}
	var code struct {
		Code string `json:"code"`
	}
	a = h.Do("GET", "/user/auth_code?user_id=123", "")
	if json.Unmarshal([]byte(a.Body), &code) != nil || code.Code != h.person("123", nil).code() {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	h.empty("the code", h.Do("POST", "/user/authenticate", object("user_id", "123", "auth_code", code.Code), "Content-Type: application/json"))
}
