package yubico_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
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
	changed := []byte(key.Press())
	if changed[43]++; !strings.ContainsRune("cbdefghijklnrtuv", rune(changed[43])) {
		changed[43] = 'c'
	}
	for what, text := range map[string]string{"the same again": otp, "in capitals": strings.ToUpper(otp), "an older one": old, "of another key": stranger.Press(), "changed": string(changed)} {
		if err := v.Validate(t.Context(), text); !errors.Is(err, yubico.ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// As keyboards send it: servers sign and answer about small letters.
	key.Plug()
	for _, text := range []string{key.Press(), strings.ToUpper(key.Press()), " " + key.Press() + "\r\n"} {
		if err := v.Validate(t.Context(), text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	// What is none, and what no server would know, is asked nobody about.
	before := s.Asked()
	for _, text := range []string{
		"", "123456", strings.Repeat("c", 100), strings.Repeat("c", 50), key.Press() + "&status=OK", key.Press()[1:], "\u212a" + key.Press()[1:], key.Press() + "\x00", key.Press() + "\r\nstatus=OK",
	} {
		if err := v.Validate(t.Context(), text); !errors.Is(err, yubico.ErrRefused) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if s.Asked() != before {
		t.Errorf("%d questions about what is none", s.Asked()-before)
	}
}

// Each question is signed, has a nonce that no other has, and says how long the server may
// wait: less than we do.
func TestQuestions(t *testing.T) {
	key := yubicotest.NewKey()
	s := yubicotest.New(t, key)
	var mu sync.Mutex
	var seen []url.Values
	s.Replace(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.URL.Query())
	})
	v, err := yubico.New(yubico.Options{ClientID: s.ClientID, Key: s.Key, Servers: []string{s.URL}, Sync: 60})
	if err != nil {
		t.Fatal(err)
	}
	text := key.Press()
	for range 2 {
		if err := v.Validate(t.Context(), text); err == nil || errors.Is(err, yubico.ErrRefused) {
			t.Errorf("an empty answer: %v", err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 2 {
		t.Fatalf("%d questions", len(seen))
	}
	for _, q := range seen {
		if q.Get("id") != s.ClientID || q.Get("otp") != text || q.Get("sl") != "60" || q.Get("timeout") != "5" || len(q) != 6 || !regexp.MustCompile(`^[A-Za-z0-9]{16,40}$`).MatchString(q.Get("nonce")) {
			t.Errorf("%v", q)
		}
	}
	if seen[0].Get("nonce") == seen[1].Get("nonce") {
		t.Error("two questions with one nonce")
	}
}

// The examples of Yubico's page "Test vectors": a question, and an answer.
func TestSignatureVectors(t *testing.T) {
	key := decoded(t, "mG5be6ZJU1qBGz24yPh/ESM3UdU=")
	for want, parameters := range map[string]map[string]string{
		"+ja8S3IjbX593/LAgTBixwPNGX4=": {"id": "1", "otp": "vvungrrdhvtklknvrtvuvbbkeidikkvgglrvdgrfcdft", "nonce": "jrFwbaYFhn0HoxZIsd9LQ6w2ceU"},
		"iCV9uFJDtuyELQsxFPnR80Yj2XU=": {"status": "OK", "t": "2019-06-06T05:14:15Z0369", "nonce": "0123456789abcdef", "otp": "cccccckdvvulethkhtvkrtbeukiettvfceekurncllcj", "sl": "25"},
	} {
		if got := yubico.Sign(key, parameters); got != want {
			t.Errorf("%v: %s", parameters, got)
		}
	}
	// In the order of the names, not of the pairs.
	if yubico.Sign(key, map[string]string{"a": "1", "a1": "2"}) != yubico.Sign(key, map[string]string{"a": "1&a1=2"}) {
		t.Error("a1 stands before a")
	}
}

// Somebody between us and the server, or a server of somebody else, says OK: with no
// signature, with one of another key, with that of our own question, with a recorded
// answer to another question, or by sending us elsewhere. Whoever believed it would open
// the door to everybody.
func TestAnswersThatSayNothing(t *testing.T) {
	key := yubicotest.NewKey()
	s := yubicotest.New(t, key)
	v := validator(t, s)
	other := yubicotest.New(t, key) // of another client
	secret, theirs := decoded(t, s.Key), decoded(t, other.Key)
	lines := func(a map[string]string) string {
		var b strings.Builder
		for name, value := range a {
			b.WriteString(name + "=" + value + "\n")
		}
		return b.String()
	}
	for name, distort := range map[string]func(a map[string]string) (int, string){
		"not signed":               func(a map[string]string) (int, string) { return 200, lines(a) },
		"an empty signature":       func(a map[string]string) (int, string) { a["h"] = ""; return 200, "" },
		"a wrong signature":        func(a map[string]string) (int, string) { a["h"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="; return 200, "" },
		"half a signature":         func(a map[string]string) (int, string) { a["h"] = "AAAA"; return 200, "" },
		"signed with an empty key": func(a map[string]string) (int, string) { a["h"] = yubico.Sign(nil, a); return 200, "" },
		"another client's":         func(a map[string]string) (int, string) { a["h"] = yubico.Sign(theirs, a); return 200, "" },
		"a status that was not signed": func(a map[string]string) (int, string) {
			delete(a, "status")
			a["h"] = yubico.Sign(secret, a)
			a["status"] = "OK"
			return 200, ""
		},
		"another nonce":       func(a map[string]string) (int, string) { a["nonce"] = strings.Repeat("a", 32); return 200, "" },
		"another otp":         func(a map[string]string) (int, string) { a["otp"] = key.Press(); return 200, "" },
		"in capitals":         func(a map[string]string) (int, string) { a["otp"] = strings.ToUpper(a["otp"]); return 200, "" },
		"no otp":              func(a map[string]string) (int, string) { delete(a, "otp"); return 200, "" },
		"no nonce":            func(a map[string]string) (int, string) { delete(a, "nonce"); return 200, "" },
		"OK in small letters": func(a map[string]string) (int, string) { a["status"] = "ok"; return 200, "" },
		"no status":           func(a map[string]string) (int, string) { delete(a, "status"); return 200, "" },
		"an error of theirs":  func(a map[string]string) (int, string) { a["status"] = "BACKEND_ERROR"; return 200, "" },
		"too few answers":     func(a map[string]string) (int, string) { a["status"] = "NOT_ENOUGH_ANSWERS"; return 200, "" },
		"our client unknown":  func(a map[string]string) (int, string) { a["status"] = "NO_SUCH_CLIENT"; return 200, "" },
		"asked before":        func(a map[string]string) (int, string) { a["status"] = "REPLAYED_REQUEST"; return 200, "" },
		"a refusal of another": func(a map[string]string) (int, string) {
			a["status"], a["otp"] = "REPLAYED_OTP", key.Press()
			return 200, ""
		},
		"a refusal of another time": func(a map[string]string) (int, string) {
			a["status"], a["nonce"] = "BAD_OTP", strings.Repeat("a", 32)
			return 200, ""
		},
		"a refusal of nobody": func(a map[string]string) (int, string) {
			a["status"] = "BAD_OTP"
			return 200, lines(a)
		},
		"status 500":               func(map[string]string) (int, string) { return 500, "" },
		"status 201":               func(map[string]string) (int, string) { return 201, "" },
		"a page":                   func(map[string]string) (int, string) { return 200, "<html>please sign in</html>" },
		"two statuses":             func(a map[string]string) (int, string) { return 200, lines(a) + "status=OK\n" },
		"a flood":                  func(map[string]string) (int, string) { return 200, "x=" + strings.Repeat("a", 1<<20) },
		"the truth, and much more": func(a map[string]string) (int, string) { a["x"] = strings.Repeat("a", 1<<13); return 200, "" },
	} {
		s.Distort(distort)
		undecided(t, name, v.Validate(t.Context(), key.Press()), key)
	}
	s.Distort(nil)
	if err := v.Validate(t.Context(), key.Press()); err != nil {
		t.Errorf("the truth again: %v", err)
	}

	// The signature of our own question, which whoever stands between has in the hand.
	s.Replace(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.URL.Query() {
			_, _ = io.WriteString(w, name+"="+values[0]+"\r\n")
		}
	})
	undecided(t, "our own question", v.Validate(t.Context(), key.Press()), key)

	// What separates the pairs where they are signed does not separate them in lines: an
	// answer whose status was in another value would have two meanings.
	s.Replace(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		a := map[string]string{"nonce": q.Get("nonce"), "otp": q.Get("otp"), "sl": "1&status=BAD_OTP", "status": "OK"}
		a["h"] = yubico.Sign(secret, a)
		_, _ = io.WriteString(w, lines(a))
	})
	undecided(t, "two meanings", v.Validate(t.Context(), key.Press()), key)
}

func decoded(t *testing.T, key string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// undecided checks that nobody knows, and that the error, which stands in a log, does not
// repeat the one-time password.
func undecided(t *testing.T, what string, err error, key *yubicotest.Key) {
	t.Helper()
	if err == nil || errors.Is(err, yubico.ErrRefused) {
		t.Errorf("%s: %v: nobody knows is the answer", what, err)
	}
	if err != nil && strings.Contains(err.Error(), key.Public) {
		t.Errorf("%s: the error repeats the one-time password: %v", what, err)
	}
}

// Somebody records what the server said of a one-time password that was good, and gives
// it back when the person's next one, or the same one, is asked about.
func TestARecordedAnswerSaysNothing(t *testing.T) {
	key := yubicotest.NewKey()
	s := yubicotest.New(t, key)
	v, secret := validator(t, s), decoded(t, s.Key)
	var recorded string
	s.Distort(func(a map[string]string) (int, string) {
		a["h"] = yubico.Sign(secret, a)
		for name, value := range a {
			recorded += name + "=" + value + "\r\n"
		}
		return 200, recorded
	})
	text := key.Press()
	if err := v.Validate(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	s.Replace(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, recorded) })
	undecided(t, "for the same one", v.Validate(t.Context(), text), key)
	undecided(t, "for the next one", v.Validate(t.Context(), key.Press()), key)
}

// A redirect hands the one-time password, which is not taken yet, to somebody else.
func TestRedirectsAreNotFollowed(t *testing.T) {
	key := yubicotest.NewKey()
	s := yubicotest.New(t, key)
	elsewhere := yubicotest.New(t, key)
	elsewhere.Share(s)
	v := validator(t, s)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s.Replace(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"?"+r.URL.RawQuery, status)
		})
		undecided(t, "redirected", v.Validate(t.Context(), key.Press()), key)
	}
	if elsewhere.Asked() > 0 {
		t.Errorf("%d questions elsewhere", elsewhere.Asked())
	}
}

// The server takes a one-time password, and the connection breaks. Sent once more, the
// question would be a replay, and whoever reads along has two to choose from.
func TestAQuestionIsPutOnce(t *testing.T) {
	key := yubicotest.NewKey()
	s := yubicotest.New(t, key)
	v := validator(t, s)
	if err := v.Validate(t.Context(), key.Press()); err != nil { // a connection to use again
		t.Fatal(err)
	}
	s.Replace(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	before := s.Asked()
	undecided(t, "broken off", v.Validate(t.Context(), key.Press()), key)
	if asked := s.Asked() - before; asked != 1 {
		t.Errorf("%d questions", asked)
	}
}

// The next server is asked where one fails or is silent; a refusal is the last word; and
// nobody passes where none answers.
func TestSeveralServers(t *testing.T) {
	key := yubicotest.NewKey()
	first, second := yubicotest.New(t, key), yubicotest.New(t, key)
	second.Share(first)
	v := validator(t, first, second)
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }

	used := key.Press()
	if err := v.Validate(t.Context(), used); err != nil || second.Asked() > 0 {
		t.Errorf("%v, %d questions to the second", err, second.Asked())
	}
	if err := v.Validate(t.Context(), used); !errors.Is(err, yubico.ErrRefused) || second.Asked() > 0 {
		t.Errorf("a refusal of the first: %v, %d questions to the second", err, second.Asked())
	}
	first.Replace(down)
	if err := v.Validate(t.Context(), key.Press()); err != nil {
		t.Errorf("the first is down: %v", err)
	}
	if err := v.Validate(t.Context(), used); !errors.Is(err, yubico.ErrRefused) {
		t.Errorf("a replay while the first is down: %v", err)
	}
	hold := make(chan struct{})
	silent := func(http.ResponseWriter, *http.Request) { <-hold }
	first.Replace(silent)
	if err := v.Validate(t.Context(), key.Press()); err != nil {
		t.Errorf("the first is silent: %v", err)
	}
	second.Replace(down)
	ctx, cancel := context.WithCancel(t.Context())
	first.Replace(func(http.ResponseWriter, *http.Request) { cancel(); <-hold })
	if err := v.Validate(ctx, key.Press()); err == nil || errors.Is(err, yubico.ErrRefused) {
		t.Errorf("nobody answers: %v", err)
	}
	close(hold)
	first.Replace(down)
	undecided(t, "all are down", v.Validate(t.Context(), key.Press()), key)
}

// The first server takes a one-time password, tells the second, and is slow to answer: the
// second one says that it heard of the question, which is no refusal. Where the first falls
// silent for good, nobody knows.
func TestTheSecondHeardOfTheQuestion(t *testing.T) {
	key := yubicotest.NewKey()
	first, second := yubicotest.New(t, key), yubicotest.New(t, key)
	second.Share(first)
	v := validator(t, first, second)
	heard := make(chan struct{})
	second.Distort(func(a map[string]string) (int, string) {
		if a["status"] != "REPLAYED_REQUEST" {
			t.Errorf("the second: %v", a)
		}
		heard <- struct{}{}
		return 200, ""
	})
	first.Distort(func(map[string]string) (int, string) { <-heard; return 200, "" })
	if err := v.Validate(t.Context(), key.Press()); err != nil {
		t.Errorf("the first is slow: %v", err)
	}
	first.Distort(func(map[string]string) (int, string) { <-heard; return 500, "" })
	undecided(t, "the first breaks", v.Validate(t.Context(), key.Press()), key)
}

// What yubikey-val says of a forged one-time password names neither it nor the nonce, and
// is a refusal all the same: else wrong tries would count for nothing. With a wrong key or
// number of the client nobody passes, and the log says what to look at.
func TestWordsOfTheServer(t *testing.T) {
	key, unknown := yubicotest.NewKey(), yubicotest.NewKey()
	s := yubicotest.New(t, key)
	s.Distort(func(a map[string]string) (int, string) {
		if a["status"] != "BAD_OTP" || a["otp"] != "" || a["nonce"] != "" {
			t.Errorf("%v", a)
		}
		return 200, ""
	})
	if err := validator(t, s).Validate(t.Context(), unknown.Press()); !errors.Is(err, yubico.ErrRefused) {
		t.Errorf("a key that nobody knows: %v", err)
	}
	s.Distort(nil)
	for what, o := range map[string]yubico.Options{
		"another client": {ClientID: "4712", Key: s.Key}, "another key": {ClientID: s.ClientID, Key: yubicotest.New(t).Key},
	} {
		o.Servers = []string{s.URL}
		v, err := yubico.New(o)
		if err != nil {
			t.Fatal(err)
		}
		err = v.Validate(t.Context(), key.Press())
		undecided(t, what, err, key)
		if !strings.Contains(err.Error(), "client_id and key") || strings.Contains(err.Error(), o.Key) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Whatever an answer holds, who does not know the client's key decides nothing with it.
func FuzzAnswers(f *testing.F) {
	key := yubicotest.NewKey()
	for _, text := range []string{"", "h=AAAA\r\nstatus=OK\r\n", "status=OK\notp=OTP\nnonce=NONCE\nh=AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "h==\n=\n==\nstatus=BAD_OTP", "a&b=c\nh=x", "\x00\n\r"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, body string) {
		answering := roundTripper(func(r *http.Request) (*http.Response, error) {
			q := r.URL.Query()
			text := strings.NewReplacer("OTP", q.Get("otp"), "NONCE", q.Get("nonce")).Replace(body)
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
		})
		v, err := yubico.New(yubico.Options{ClientID: "1", Key: "MDEyMzQ1Njc4OWFiY2RlZmdo", Transport: answering})
		if err != nil {
			t.Fatal(err)
		}
		undecided(t, "fuzz", v.Validate(t.Context(), key.Press()), &yubicotest.Key{Public: "\x00none"})
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestOptions(t *testing.T) {
	good := "MDEyMzQ1Njc4OWFiY2RlZmdo"
	for name, o := range map[string]yubico.Options{
		"no client":          {Key: good},
		"a name":             {ClientID: "us", Key: good},
		"zero":               {ClientID: "0", Key: good},
		"too long a number":  {ClientID: "12345678901", Key: good},
		"less than nothing":  {ClientID: "1", Key: good, Sync: -1},
		"many servers":       {ClientID: "1", Key: good, Servers: slices.Repeat([]string{yubico.DefaultServer}, 11)},
		"http by a name":     {ClientID: "1", Key: good, Servers: []string{"http://localhost.example.com/verify"}},
		"ftp":                {ClientID: "1", Key: good, Servers: []string{"ftp://127.0.0.1/verify"}},
		"a fragment":         {ClientID: "1", Key: good, Servers: []string{"https://example.com/#x"}},
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
