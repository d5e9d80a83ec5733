package trench_test

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
	"github.com/sallyport-auth/sallyport/internal/web/compat/trench"
)

const (
	password = "correct horse battery"
	alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)

// settings are the original's, in our words.
func settings(change ...func(*account.Settings)) account.Settings {
	one, no, yes, skew, secret := 1, false, true, 1, 32
	s := account.Settings{
		Factors: &one, Enrollment: account.EnrollOpen, Skew: &skew, SecretLength: &secret, Issuer: "MyApplication",
		RecoveryCodes:  &account.RecoverySettings{Count: 5, Length: 12, Alphabet: alphabet, Plain: true},
		Session:        &account.Lifetimes{Idle: 25 * time.Hour, Absolute: 7 * 24 * time.Hour},
		ConfirmDisable: &no, ConfirmRegenerate: &yes, AllowRegenerate: &yes,
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

// house is a world with the facade in front.
type house struct {
	*compattest.World
	dialect compat.Dialect
}

func build(t testing.TB, dialect compat.Dialect, change ...func(*account.Settings)) *house {
	t.Helper()
	return buildWith(t, dialect, compat.Common{}, change...)
}

func buildWith(t testing.TB, dialect compat.Dialect, common compat.Common, change ...func(*account.Settings)) *house {
	t.Helper()
	h := &house{compattest.New(t, map[string]account.Settings{"trench": settings(change...)}), dialect}
	common.Facade, common.Realm = "trench", "trench"
	f, err := trench.New(trench.Options{Rooms: h.Rooms, Common: common, Dialect: dialect})
	h.Must(err)
	h.Serve(f)
	return h
}

// both runs a test in both dialects.
func both(t *testing.T, do func(t *testing.T, dialect compat.Dialect)) {
	for _, dialect := range []compat.Dialect{compat.Dialect02, compat.Dialect03} {
		t.Run(string(dialect), func(t *testing.T) { do(t, dialect) })
	}
}

func (h *house) old() bool { return h.dialect == compat.Dialect02 }

// pick is what one of the dialects says.
func (h *house) pick(old, new string) string {
	if h.old() {
		return old
	}
	return new
}

// post sends a form, or JSON where the body looks like it.
func (h *house) post(path, body, auth string) compattest.Answer {
	h.Helper()
	kind := "application/x-www-form-urlencoded"
	if strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[") {
		kind = "application/json"
	}
	headers := []string{"Content-Type: " + kind}
	if auth != "" {
		headers = append(headers, "Authorization: "+auth)
	}
	return h.Do("POST", path, body, headers...)
}

func (h *house) get(path, auth string) compattest.Answer {
	h.Helper()
	return h.Do("GET", path, "", "Authorization: "+auth)
}

// want compares status, content type and body; of JSON the white space is nothing.
func (h *house) want(what string, got compattest.Answer, status int, body string) {
	h.Helper()
	kind := "application/json"
	switch {
	case status == 204:
		kind = ""
	case strings.HasPrefix(body, "\n<"):
		kind = "text/html; charset=utf-8"
	}
	same := got.Body == body
	if kind == "application/json" {
		var a, b any
		same = json.Unmarshal([]byte(got.Body), &a) == nil && json.Unmarshal([]byte(body), &b) == nil && reflect.DeepEqual(a, b)
	}
	if got.Status != status || got.Header.Get("Content-Type") != kind || !same {
		h.Errorf("%s:\n got %d %q %s\nwant %d %q %s", what, got.Status, got.Header.Get("Content-Type"), got.Body, status, kind, body)
	}
}

// object reads the fields of a good answer.
func (h *house) object(what string, got compattest.Answer, fields ...string) map[string]any {
	h.Helper()
	var o map[string]any
	if got.Status != 200 || json.Unmarshal([]byte(got.Body), &o) != nil {
		h.Fatalf("%s: %d %s", what, got.Status, got.Body)
	}
	if len(o) != len(fields) {
		h.Fatalf("%s: fields %v are expected, not %s", what, fields, got.Body)
	}
	for _, f := range fields {
		if _, ok := o[f]; !ok {
			h.Fatalf("%s: no %s in %s", what, f, got.Body)
		}
	}
	return o
}

// kinds are the three stacks: their doors and headers.
var kinds = []struct{ name, door, header string }{
	{"default", "/auth/", ""}, {"jwt", "/auth/jwt/", "Bearer "}, {"token", "/auth/token/", "Token "},
}

// tokens reads the answer of a finished login and returns the header.
func (h *house) tokens(door string, got compattest.Answer) string {
	h.Helper()
	switch {
	case door == "/auth/token/":
		return "Token " + h.object("login", got, "auth_token")["auth_token"].(string)
	case door == "/auth/" && h.old():
		return "JWT " + h.object("login", got, "token")["token"].(string)
	}
	return "Bearer " + h.object("login", got, "refresh", "access")["access"].(string)
}

func (h *house) form(fields ...string) string {
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	return v.Encode()
}

// login is the first step of somebody without a second factor.
func (h *house) login(door, name string) string {
	h.Helper()
	return h.tokens(door, h.post(door+"login/", h.form("username", name, "password", password), ""))
}

// half is the first step of somebody who has one.
func (h *house) half(name string) string {
	h.Helper()
	fields := []string{"ephemeral_token", "method"}
	if h.old() {
		fields = append(fields, "other_methods")
	}
	o := h.object("first step", h.post("/auth/login/", h.form("username", name, "password", password), ""), fields...)
	if o["method"] != "app" {
		h.Fatalf("asked for %v first", o["method"])
	}
	return o["ephemeral_token"].(string)
}

// second is a whole login with a code.
func (h *house) second(door, name, code string) string {
	h.Helper()
	return h.tokens(door, h.post(door+"login/code/", h.form("ephemeral_token", h.half(name), "code", code), ""))
}

// activate asks for an authenticator and returns its seed.
func (h *house) activate(auth string) string {
	h.Helper()
	field := h.pick("qr_link", "details")
	uri := h.object("activate", h.post("/auth/app/activate/", "", auth), field)[field].(string)
	_, seed, _, err := otp.ParseURI(uri)
	h.Must(err)
	return otp.FormatSeed(seed)
}

// code is that of this moment.
func (h *house) code(seed string) string {
	h.Helper()
	return h.Code(seed, "SHA1", 6, 30)
}

// wrong is a code that is none of the window's.
func (h *house) wrong(seed string) string {
	h.Helper()
	used := map[string]bool{}
	for _, shift := range []time.Duration{0, 30 * time.Second, -60 * time.Second} {
		h.Time.Advance(shift)
		used[h.code(seed)] = true
	}
	h.Time.Advance(30 * time.Second)
	for _, code := range []string{"000000", "111111", "222222", "333333"} {
		if !used[code] {
			return code
		}
	}
	return "444444"
}

func (h *house) confirm(auth, code string) (codes []string) {
	h.Helper()
	for _, c := range h.object("confirm", h.post("/auth/app/activate/confirm/", h.form("code", code), auth), "backup_codes")["backup_codes"].([]any) {
		codes = append(codes, c.(string))
	}
	return codes
}

// next moves the clock to the next step: a code is good once.
func (h *house) next() { h.Time.Advance(30 * time.Second) }

// person is somebody with an authenticator and backup codes, at a new step.
func (h *house) person(name string) (seed string, codes []string) {
	h.Helper()
	h.User(name, "trench", name+"@example.com", password)
	auth := h.login("/auth/", name)
	seed = h.activate(auth)
	codes = h.confirm(auth, h.code(seed))
	h.next()
	return seed, codes
}
