package yubico_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/factor/yubico"
	"github.com/sallyport-auth/sallyport/internal/factor/yubico/yubicotest"
)

func validator(t *testing.T, servers ...*yubicotest.Server) *yubico.Validator {
	t.Helper()
	o := yubico.Options{ClientID: servers[0].ClientID, Key: servers[0].Key, Patience: 50 * time.Millisecond}
	for _, s := range servers {
		o.Servers = append(o.Servers, s.URL)
	}
	v, err := yubico.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestValidate(t *testing.T) {
	key, stranger := yubicotest.NewKey(), yubicotest.NewKey()
	s := yubicotest.New(t, key)
	v := validator(t, s)
	old, otp := key.Press(), key.Press()
	if err := v.Validate(t.Context(), otp); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"the same again": otp, "an older one": old, "of another key": stranger.Press(), "changed": key.Press()[:43] + "x"} {
		if err := v.Validate(t.Context(), text); !errors.Is(err, yubico.ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := v.Validate(t.Context(), key.Press()); err != nil {
		t.Errorf("the next one: %v", err)
	}
	// What is none is asked nobody about.
	before := s.Asked()
	for _, text := range []string{"", "123456", strings.Repeat("c", 100), key.Press() + "&status=OK"} {
		if err := v.Validate(t.Context(), text); !errors.Is(err, yubico.ErrRefused) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if s.Asked() != before {
		t.Errorf("%d questions about what is none", s.Asked()-before)
	}
}

// Somebody between us and the server, or a server of somebody else, says OK: with no
// signature, with one of another key, with a recorded answer to another question, or by
// sending us elsewhere. Whoever believed it would open the door to everybody.
func TestAnswersThatSayNothing(t *testing.T) {
	key := yubicotest.NewKey()
	s := yubicotest.New(t, key)
	v := validator(t, s)
	elsewhere := yubicotest.New(t, key) // another client's key
	for name, distort := range map[string]func(a map[string]string) (int, string){
		"not signed": func(a map[string]string) (int, string) {
			return 200, "status=OK\r\notp=" + a["otp"] + "\r\nnonce=" + a["nonce"] + "\r\n"
		},
		"an empty signature":  func(a map[string]string) (int, string) { a["h"] = ""; return 200, "" },
		"a wrong signature":   func(a map[string]string) (int, string) { a["h"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="; return 200, "" },
		"another nonce":       func(a map[string]string) (int, string) { a["nonce"] = strings.Repeat("a", 32); return 200, "" },
		"another otp":         func(a map[string]string) (int, string) { a["otp"] = key.Press(); return 200, "" },
		"no otp":              func(a map[string]string) (int, string) { delete(a, "otp"); return 200, "" },
		"no nonce":            func(a map[string]string) (int, string) { delete(a, "nonce"); return 200, "" },
		"OK in small letters": func(a map[string]string) (int, string) { a["status"] = "ok"; return 200, "" },
		"an error of theirs":  func(a map[string]string) (int, string) { a["status"] = "BACKEND_ERROR"; return 200, "" },
		"too few answers":     func(a map[string]string) (int, string) { a["status"] = "NOT_ENOUGH_ANSWERS"; return 200, "" },
		"our client unknown":  func(a map[string]string) (int, string) { a["status"] = "NO_SUCH_CLIENT"; return 200, "" },
		"status 500":          func(map[string]string) (int, string) { return 500, "" },
		"a page":              func(map[string]string) (int, string) { return 200, "<html>please sign in</html>" },
		"two statuses":        func(map[string]string) (int, string) { return 200, "status=OK\nstatus=OK\n" },
		"a flood":             func(map[string]string) (int, string) { return 200, "x=" + strings.Repeat("a", 1<<20) },
	} {
		s.Distort(distort)
		err := v.Validate(t.Context(), key.Press())
		if err == nil || errors.Is(err, yubico.ErrRefused) {
			t.Errorf("%s: %v: nobody knows is the answer", name, err)
		}
		if err != nil && strings.Contains(err.Error(), key.Public) {
			t.Errorf("%s: the error repeats the one-time password: %v", name, err)
		}
	}
	s.Distort(nil)
	if err := v.Validate(t.Context(), key.Press()); err != nil {
		t.Errorf("the truth again: %v", err)
	}

	// A redirect hands the one-time password to somebody else.
	redirect := &redirecting{to: elsewhere.URL}
	v, err := yubico.New(yubico.Options{ClientID: s.ClientID, Key: s.Key, Servers: []string{s.URL}, Transport: redirect})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Validate(t.Context(), key.Press()); err == nil || elsewhere.Asked() > 0 {
		t.Errorf("a redirect: %v, %d questions elsewhere", err, elsewhere.Asked())
	}
}

type redirecting struct{ to string }

func (r *redirecting) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 302, Header: http.Header{"Location": {r.to + "?" + req.URL.RawQuery}}, Body: http.NoBody, Request: req}, nil
}

// The next server is asked where one fails or is silent, and nobody passes where none
// answers.
func TestSeveralServers(t *testing.T) {
	key := yubicotest.NewKey()
	down, up := yubicotest.New(t, key), yubicotest.New(t, key)
	up.Share(down)
	down.Distort(func(map[string]string) (int, string) { return 503, "" })
	v := validator(t, down, up)
	if err := v.Validate(t.Context(), key.Press()); err != nil {
		t.Errorf("the first is down: %v", err)
	}
	hold := make(chan struct{})
	silent, second := yubicotest.New(t, key), yubicotest.New(t, key)
	second.Share(silent)
	silent.Distort(func(map[string]string) (int, string) { <-hold; return 503, "" })
	if err := validator(t, silent, second).Validate(t.Context(), key.Press()); err != nil {
		t.Errorf("the first is silent: %v", err)
	}
	close(hold)
	up.Distort(func(map[string]string) (int, string) { return 503, "" })
	if err := v.Validate(t.Context(), key.Press()); err == nil || errors.Is(err, yubico.ErrRefused) {
		t.Errorf("all are down: %v", err)
	}
}

func TestOptions(t *testing.T) {
	good := "MDEyMzQ1Njc4OWFiY2RlZmdo"
	for name, o := range map[string]yubico.Options{
		"no client":          {Key: good},
		"a name":             {ClientID: "us", Key: good},
		"no key":             {ClientID: "1"},
		"not base64":         {ClientID: "1", Key: "!!!"},
		"short":              {ClientID: "1", Key: "AAAA"},
		"http":               {ClientID: "1", Key: good, Servers: []string{"http://example.com/verify"}},
		"no URL":             {ClientID: "1", Key: good, Servers: []string{"example.com"}},
		"a password":         {ClientID: "1", Key: good, Servers: []string{"https://u:p@example.com/"}},
		"200 percent":        {ClientID: "1", Key: good, Sync: 200},
		"a query of its own": {ClientID: "1", Key: good, Servers: []string{"https://example.com/?id=2"}},
	} {
		if _, err := yubico.New(o); err == nil || strings.Contains(err.Error(), good) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, server := range []string{"https://example.com/wsapi/2.0/verify", "http://127.0.0.1:8080/verify", "http://[::1]/verify", "http://localhost/verify"} {
		if _, err := yubico.New(yubico.Options{ClientID: "1", Key: good, Servers: []string{server}}); err != nil {
			t.Errorf("%s: %v", server, err)
		}
	}
}
