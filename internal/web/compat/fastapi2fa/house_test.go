package fastapi2fa_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
	"github.com/sallyport-auth/sallyport/internal/web/compat/fastapi2fa"
)

const (
	realm    = "fastapi2fa"
	password = "quartz lantern otter"
	api      = "/api/v1"

	jsonType = "Content-Type: application/json"
	formType = "Content-Type: application/x-www-form-urlencoded"

	credentials = `{"detail":"Could not validate credentials, if TFA is enabled, please confirm token first"}`
	preExpired  = `{"detail":"Token expired, login again and validate TFA token within 5 minutes"}`
)

// settings are what a configuration with the original's numbers says of the realm.
func settings() map[string]account.Settings {
	factors, skew := 1, 2
	return map[string]account.Settings{realm: {
		Factors: &factors, Skew: &skew, Enrollment: account.EnrollOpen,
		RecoveryCodes: &account.RecoverySettings{Count: 5, Length: 6, Alphabet: "0123456789", Plain: true},
		Session:       &account.Lifetimes{Idle: 24 * time.Hour, Absolute: 7 * 24 * time.Hour},
	}}
}

type house struct {
	*compattest.World
	facade *fastapi2fa.Facade
}

func newHouse(t testing.TB, change ...func(*fastapi2fa.Options)) *house {
	t.Helper()
	h := &house{World: compattest.New(t, settings())}
	h.serve(change...)
	return h
}

func (h *house) serve(change ...func(*fastapi2fa.Options)) {
	h.Helper()
	o := fastapi2fa.Options{Rooms: h.Rooms, Common: compat.Common{Facade: "fastapi2fa", Realm: realm}}
	for _, c := range change {
		c(&o)
	}
	var err error
	h.facade, err = fastapi2fa.New(o)
	h.Must(err)
	h.Serve(h.facade)
}

// from has all requests come from an address.
func from(addr string) func(*fastapi2fa.Options) {
	return func(o *fastapi2fa.Options) {
		o.Client = func(*http.Request) netip.Addr { return netip.MustParseAddr(addr) }
	}
}

// want compares an answer: JSON by its value, "png" a picture, other bodies to the letter.
func (h *house) want(what string, a compattest.Answer, status int, body string) {
	h.Helper()
	kind := a.Header.Get("Content-Type")
	switch {
	case a.Status != status:
		h.Errorf("%s: status %d, want %d: %s", what, a.Status, status, a.Body)
	case body == "png":
		if kind != "image/png" || !strings.HasPrefix(a.Body, "\x89PNG") {
			h.Errorf("%s: no picture but %q", what, kind)
		}
	case body == "":
		if _, typed := a.Header["Content-Type"]; typed || a.Body != "" {
			h.Errorf("%s: %q of type %q, want nothing", what, a.Body, kind)
		}
	case kind != "application/json" || !sameJSON(a.Body, body):
		h.Errorf("%s: %s (%s)\nwant %s", what, a.Body, kind, body)
	}
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// login posts the form of the first door.
func (h *house) login(email, password string) compattest.Answer {
	h.Helper()
	form := "grant_type=&username=" + escape(email) + "&password=" + escape(password) + "&scope=&client_id=&client_secret="
	return h.Do("POST", api+"/auth/login", form, formType)
}

func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteString("%" + string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15]))
	}
	return b.String()
}

type pair struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// pair reads the tokens of an answer with this status.
func (h *house) pair(a compattest.Answer, status int) (p pair) {
	h.Helper()
	if a.Status != status || json.Unmarshal([]byte(a.Body), &p) != nil || p.Access == "" {
		h.Fatalf("status %d, want tokens and %d: %s", a.Status, status, a.Body)
	}
	return p
}

func bearer(token string) string { return "Authorization: Bearer " + token }

// person is a user with an authenticator.
type person struct {
	*account.User
	seed  string
	codes []string
}

// person makes one as an administrator does.
func (h *house) person(name string) *person {
	h.Helper()
	p := &person{User: h.User(name, realm, name+"@example.com", password)}
	h.Must(h.Store.Update(h.Context(), func(tx store.Tx) error {
		e, err := h.Factors.Enroll(tx, account.Local(), p.ID, factor.EnrollOptions{Confirmed: true})
		if err == nil {
			p.seed, p.codes = otp.FormatSeed(e.Seed.Reveal()), e.RecoveryCodes
		}
		return err
	}))
	return p
}

// pre is a fresh pre-tfa token.
func (h *house) pre(p *person) string {
	h.Helper()
	return h.pair(h.login(p.Email, password), 202).Access
}

func (h *house) code(p *person) string { return h.Code(p.seed, "SHA1", 6, 30) }

// wrong is a code that is none of the window.
func (h *house) wrong(p *person) string {
	taken := map[string]bool{}
	now := h.Time.Now()
	for step := -4; step <= 4; step++ {
		h.Time.Set(now.Add(time.Duration(step) * 30 * time.Second))
		taken[h.code(p)] = true
	}
	h.Time.Set(now)
	for _, c := range []string{"000000", "111111", "222222", "333333", "444444", "555555", "666666", "777777", "888888", "999999"} {
		if !taken[c] {
			return c
		}
	}
	h.Fatal("no wrong code is left")
	return ""
}

func (h *house) tfa(pre, code string) compattest.Answer {
	h.Helper()
	return h.Do("POST", api+"/tfa/login_tfa?tfa_token="+escape(code), "", bearer(pre))
}

func (h *house) recover(pre, code string) compattest.Answer {
	h.Helper()
	return h.Do("POST", api+"/tfa/recover_tfa?tfa_backup_token="+escape(code), "", bearer(pre))
}

func (h *house) testToken(access string) compattest.Answer {
	h.Helper()
	return h.Do("GET", api+"/auth/test-token", "", bearer(access))
}

func (h *house) refresh(token string) compattest.Answer {
	h.Helper()
	return h.Do("POST", api+"/auth/refresh", `{"refresh_token":"`+token+`"}`, jsonType)
}

func (h *house) signup(body string) compattest.Answer {
	h.Helper()
	return h.Do("POST", api+"/auth/signup", body, jsonType)
}

func (h *house) enable(access, device string) compattest.Answer {
	h.Helper()
	return h.Do("PUT", api+"/tfa/enable_tfa", `{"device_type":"`+device+`"}`, jsonType, bearer(access))
}

// scan reads a QR code with a judge of its own.
func (h *house) scan(picture string) (label string, seed string) {
	h.Helper()
	file := filepath.Join(h.TempDir(), "qr.png")
	h.Must(os.WriteFile(file, []byte(picture), 0o600))
	out, err := exec.CommandContext(h.Context(), "zbarimg", "-q", "--raw", file).Output()
	if err != nil {
		h.Fatalf("zbarimg (make test installs it): %v", err)
	}
	uri := string(bytes.TrimSpace(out))
	label, seed, _ = strings.Cut(uri, "?secret=")
	seed, rest, _ := strings.Cut(seed, "&")
	return label + "?" + rest, seed
}

func (h *house) disable(p *account.User) {
	h.Helper()
	h.Must(h.Store.Update(h.Context(), func(tx store.Tx) error {
		_, err := h.Directory.SetDisabled(tx, account.Local(), p.ID, true)
		return err
	}))
}

func networks(text string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(text)} }
