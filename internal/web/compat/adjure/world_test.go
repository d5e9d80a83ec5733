package adjure_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/adjure"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
)

// settings are those that the configuration gives the realm of adjure.
func settings() account.Settings {
	return account.Settings{
		Factors: new(2), Enrollment: account.EnrollOff, Skew: new(1), Names: account.NamesExact,
		OTP:           &otp.Params{Algorithm: otp.SHA256, Digits: 6, Period: 30},
		RecoveryCodes: &account.RecoverySettings{Count: 10, Length: 32, Alphabet: "0123456789abcdef", Plain: true},
	}
}

// house is a world with the facade in front.
type house struct {
	*compattest.World
	t      testing.TB
	mu     sync.Mutex
	events []audit.Event
}

func newHouse(t testing.TB, change ...func(*adjure.Options)) *house {
	t.Helper()
	h := &house{World: compattest.New(t, map[string]account.Settings{"adjure": settings()}), t: t}
	o := adjure.Options{Rooms: h.Rooms, Common: compat.Common{Facade: "adjure", Realm: "adjure"}}
	for _, fn := range change {
		fn(&o)
	}
	f, err := adjure.New(o)
	h.Must(err)
	h.Serve(f)
	t.Cleanup(h.Audit.Subscribe(func(e audit.Event) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events = append(h.events, e)
	}))
	return h
}

func oracle(o *adjure.Options) { o.CodeOracle = true }

// person is a user of the facade.
type person struct {
	h     *house
	id    string
	codes []string
	seed  string // base32
	otp.Params
}

// provision makes a user as a client does. more are further properties.
func (h *house) provision(id string, more ...string) *person {
	h.t.Helper()
	body := object("user_id", id)
	if len(more) > 0 {
		body = strings.TrimSuffix(body, "}") + "," + strings.Join(more, ",") + "}"
	}
	a := h.Do("POST", "/user/provision", body)
	var got struct {
		User  string   `json:"user_id"`
		Codes []string `json:"recovery_codes"`
	}
	if a.Status != 200 || json.Unmarshal([]byte(a.Body), &got) != nil || got.User != id || len(got.Codes) != 10 {
		h.t.Fatalf("provision %q: %d %s", id, a.Status, a.Body)
	}
	return h.person(id, got.Codes)
}

// person knows the seed of somebody who is there.
func (h *house) person(id string, codes []string) *person {
	h.t.Helper()
	p := &person{h: h, id: id, codes: codes}
	h.Must(h.Store.View(h.t.Context(), func(tx store.Tx) error {
		u, err := h.Directory.ByRef(tx, principal.Ref{Name: id, Realm: "adjure"})
		if err != nil {
			return err
		}
		e, _, err := h.Factors.Reveal(tx, u.ID)
		if err == nil {
			p.seed, p.Params = otp.FormatSeed(e.Seed.Reveal()), e.Params
		}
		return err
	}))
	return p
}

// code is that of this moment, by oathtool.
func (p *person) code() string {
	p.h.t.Helper()
	return p.h.Code(p.seed, string(p.Algorithm), p.Digits, p.Period)
}

// wrong is a code that is good nowhere near.
func (p *person) wrong() string {
	p.h.t.Helper()
	seed, err := otp.ParseSeed(p.seed)
	p.h.Must(err)
	good := map[string]bool{}
	for step := range int64(9) {
		code, err := p.Params.Code(seed, p.Step(p.h.Time.Now())+step-4)
		p.h.Must(err)
		good[code] = true
	}
	for digit := range 10 {
		if text := strings.Repeat(strconv.Itoa(digit), p.Digits); !good[text] {
			return text
		}
	}
	p.h.t.Fatal("no wrong code")
	return ""
}

func (p *person) authenticate(code string) compattest.Answer {
	p.h.t.Helper()
	return p.h.Do("POST", "/user/authenticate", object("user_id", p.id, "auth_code", code))
}

func (p *person) recover(code string) compattest.Answer {
	p.h.t.Helper()
	return p.h.Do("POST", "/user/recovery/authenticate", object("user_id", p.id, "recovery_code", code))
}

// object is a JSON object of texts.
func object(pairs ...string) string {
	var fields []string
	for i := 0; i < len(pairs); i += 2 {
		name, _ := json.Marshal(pairs[i])
		value, _ := json.Marshal(pairs[i+1])
		fields = append(fields, string(name)+": "+string(value))
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// problem is the JSON form of an error; text is its first line.
func (h *house) problem(what string, a compattest.Answer, status int, code, text string) {
	h.t.Helper()
	var got map[string]string
	err := json.Unmarshal([]byte(a.Body), &got)
	first, _, _ := strings.Cut(got["error_message"], "\n")
	if err != nil || len(got) != 2 || a.Status != status || got["error_code"] != code || first != text || a.Header.Get("Content-Type") != "application/json" {
		h.t.Errorf("%s: %d %s %s\nwant %d %s %q", what, a.Status, a.Header.Get("Content-Type"), a.Body, status, code, text)
	}
}

// empty is the answer of what was good.
func (h *house) empty(what string, a compattest.Answer) {
	h.t.Helper()
	if a.Status != 200 || strings.TrimSpace(a.Body) != "{}" || a.Header.Get("Content-Type") != "application/json" {
		h.t.Errorf("%s: %d %s %q", what, a.Status, a.Header.Get("Content-Type"), a.Body)
	}
}

// page is the framework's page of an error.
func (h *house) page(what string, a compattest.Answer, status int, body string) {
	h.t.Helper()
	if a.Status != status || a.Body != body || a.Header.Get("Content-Type") != "text/html" {
		h.t.Errorf("%s: %d %s %q\nwant %q", what, a.Status, a.Header.Get("Content-Type"), a.Body, body)
	}
}

const (
	pageBad     = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">\n<title>400 Bad Request</title>\n<h1>Bad Request</h1>\n<p>The browser (or proxy) sent a request that this server could not understand.</p>\n"
	pageMissing = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n<p>The requested URL was not found on the server.  If you entered the URL manually please check your spelling and try again.</p>\n"
	pageMethod  = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">\n<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>\n<p>The method is not allowed for the requested URL.</p>\n"
	pageLarge   = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">\n<title>413 Request Entity Too Large</title>\n<h1>Request Entity Too Large</h1>\n<p>The data value transmitted exceeds the capacity limit.</p>\n"
	pageFailed  = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">\n<title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>\n<p>The server encountered an internal error and was unable to complete your request.  Either the server is overloaded or there is an error in the application.</p>\n"
)

const (
	wrongCode     = "Invalid code was given."
	wrongRecovery = "The recovery code supplied is not valid for this user"
	throttled     = "Too many wrong tries. Wait before the next one."
)

// update runs a change that the facade does not offer.
func (h *house) update(fn func(store.Tx) error) {
	h.t.Helper()
	h.Must(h.Store.Update(h.t.Context(), fn))
}

// disable shuts somebody out.
func (h *house) disable(id string) {
	h.t.Helper()
	h.update(func(tx store.Tx) error {
		u, err := h.Directory.ByRef(tx, principal.Ref{Name: id, Realm: "adjure"})
		if err == nil {
			_, err = h.Directory.SetDisabled(tx, account.Local(), u.ID, true)
		}
		return err
	})
}

// brought is a user whom an importer made, with a seed and a code from elsewhere.
func (h *house) brought(id string, params otp.Params, code string) *person {
	h.t.Helper()
	h.update(func(tx store.Tx) error {
		u, err := h.Directory.Create(tx, account.Local(), account.NewUser{Ref: principal.Ref{Name: id, Realm: "adjure"}})
		if err != nil {
			return err
		}
		return h.Factors.Bring(tx, account.Local(), u.ID, factor.Brought{Seed: secret.NewBytes([]byte("twenty bytes of seed")), Params: params, RecoveryCodes: []string{code}})
	})
	return h.person(id, []string{code})
}

// zbarimg reads a QR code; it shares no code with us.
func (h *house) zbarimg(picture string) string {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), "qr.png")
	h.Must(os.WriteFile(file, []byte(picture), 0o600))
	out, err := exec.Command("zbarimg", "--raw", "--quiet", file).Output()
	if err != nil {
		h.t.Fatalf("zbarimg (make test installs it): %v", err)
	}
	return strings.TrimSpace(string(out))
}

func networks(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}
