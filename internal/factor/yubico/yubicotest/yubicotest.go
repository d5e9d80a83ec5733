// Package yubicotest is a validation server of Yubico's protocol 2.0 on loopback, and
// YubiKeys of software, for tests.
//
//	key := yubicotest.NewKey()
//	server := yubicotest.New(t, key)
//	v, err := yubico.New(yubico.Options{ClientID: server.ClientID, Key: server.Key, Servers: []string{server.URL}})
//	err = v.Validate(ctx, key.Press())
package yubicotest

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/factor/yubico"
	"github.com/sallyport-auth/sallyport/internal/otp"
)

// Key is a YubiKey of software. It is safe for concurrent use.
type Key struct {
	Public  string // identity, in modhex
	Private []byte
	Secret  []byte

	mu  sync.Mutex
	use otp.YubiKeyUse
}

// NewKey makes a key with a public identity of its own, of twelve letters.
func NewKey() *Key {
	k := &Key{Private: random(otp.YubiKeyPrivate), Secret: random(otp.YubiKeySecret), Public: otp.FormatModhex(random(6))}
	copy(k.use.Private[:], k.Private)
	k.use.Session = 1
	return k
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// Press types the next one-time password.
func (k *Key) Press() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.use.Count++; k.use.Count == 0 {
		k.use.Session++
	}
	k.use.Clock = (k.use.Clock + 8) & 0xffffff // a second later
	noise := random(2)
	k.use.Random = uint16(noise[0])<<8 | uint16(noise[1])
	return k.use.Seal(k.Public, k.Secret).String()
}

// Plug pulls the key out and puts it in again: its session grows, its count and its
// clock begin anew.
func (k *Key) Plug() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.use.Session++
	k.use.Count, k.use.Clock = 0, 0
}

// cluster is what validation servers tell each other.
type cluster struct {
	mu   sync.Mutex
	last map[string]taken // by public identity
}

// taken is the one-time password that was accepted last, and the question it was in.
type taken struct {
	counter uint32
	nonce   string
}

// Server is a validation server that knows some keys and one client.
type Server struct {
	URL      string
	ClientID string
	Key      string // of the client, in base64

	secret []byte
	keys   map[string]*Key

	mu      sync.Mutex
	cluster *cluster
	asked   int
	distort func(answer map[string]string) (status int, raw string)
	replace http.HandlerFunc
}

// New starts a server that lives as long as the test.
func New(t testing.TB, keys ...*Key) *Server {
	t.Helper()
	s := &Server{ClientID: "4711", secret: random(20), keys: map[string]*Key{}, cluster: &cluster{last: map[string]taken{}}}
	s.Key = base64.StdEncoding.EncodeToString(s.secret)
	for _, k := range keys {
		s.keys[k.Public] = k
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL + "/wsapi/2.0/verify"
	return s
}

// Share makes s a server of the same cluster as other: for the same client, and with one
// memory of what was taken. Call it before anybody asks.
func (s *Server) Share(other *Server) {
	s.ClientID, s.Key, s.secret, s.cluster = other.ClientID, other.Key, other.secret, other.cluster
}

// Asked is how many questions were put.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Distort has fn change what the server says after it took a one-time password: a status
// and a body; "" leaves the true answer, signed, of what fn made of it, unless fn gave it a
// signature h. fn may wait as long as it likes. nil: the truth again.
func (s *Server) Distort(fn func(answer map[string]string) (status int, raw string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.distort = fn
}

// Replace has h answer in place of the server, which takes nothing: it is down, or somebody
// else. nil: the server again.
func (s *Server) Replace(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replace = h
}

// formed looks at the forms of parameters (section "Request"; yubikey-val where it is stricter).
func formed(question map[string]string) bool {
	for name, form := range map[string]string{
		"id": `^[1-9][0-9]{0,9}$`, "nonce": `^[A-Za-z0-9]{16,40}$`, "otp": `^.+$`, "h": `^[A-Za-z0-9+/]{27}=$`,
		"sl": `^([1-9][0-9]?|100|fast|secure)?$`, "timeout": `^[0-9]*$`, "timestamp": `^1?$`,
	} {
		if !regexp.MustCompile(form).MatchString(question[name]) {
			return false
		}
	}
	return true
}

// ServeHTTP answers a question as the protocol says, and takes nothing on trust. It is
// stricter in one thing: a question must be signed.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked++
	distort, replace := s.distort, s.replace
	s.mu.Unlock()
	if replace != nil {
		replace(w, r)
		return
	}
	if r.URL.Path != "/wsapi/2.0/verify" {
		http.NotFound(w, r)
		return
	}
	answer, key := s.answer(r)
	status, raw := http.StatusOK, ""
	if distort != nil {
		status, raw = distort(answer)
	}
	if raw == "" {
		if _, own := answer["h"]; !own {
			answer["h"] = yubico.Sign(key, answer)
		}
		var b strings.Builder
		for name, value := range answer {
			fmt.Fprintf(&b, "%s=%s\r\n", name, value)
		}
		raw = b.String() + "\r\n"
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(raw))
}

// answer is the true answer, and the key that signs it: an empty one where the client is
// not known, or before it was looked for. OK and the word of a replay name what was asked
// about, the other words do not.
func (s *Server) answer(r *http.Request) (answer map[string]string, key []byte) {
	question, signed, once := map[string]string{}, map[string]string{}, r.Method == http.MethodGet
	for name, values := range r.URL.Query() {
		question[name] = values[0]
		once = once && len(values) == 1
		if name != "h" {
			signed[name] = values[0]
		}
	}
	text := strings.ToLower(question["otp"])
	o, err := otp.ParseYubiKey(text)
	answer = map[string]string{"t": time.Now().UTC().Format("2006-01-02T15:04:05Z0") + "123"}
	switch {
	case !once || !formed(question):
		answer["status"] = "MISSING_PARAMETER"
	case err != nil || len(o.Public) > 16:
		answer["status"] = "BAD_OTP"
	case question["id"] != s.ClientID:
		answer["status"] = "NO_SUCH_CLIENT"
	case !hmac.Equal([]byte(yubico.Sign(s.secret, signed)), []byte(question["h"])):
		answer["status"], key = "BAD_SIGNATURE", s.secret
	default:
		answer["status"], key = s.take(o, question["nonce"]), s.secret
		if answer["status"] != "BAD_OTP" {
			answer["otp"], answer["nonce"] = text, question["nonce"]
		}
		if answer["status"] == "OK" {
			answer["sl"] = "100"
		}
	}
	return answer, key
}

// take judges a one-time password, and remembers it.
func (s *Server) take(o otp.YubiKeyOTP, nonce string) string {
	k := s.keys[o.Public]
	if k == nil {
		return "BAD_OTP"
	}
	use, err := o.Open(k.Secret, k.Private)
	if err != nil {
		return "BAD_OTP"
	}
	s.cluster.mu.Lock()
	defer s.cluster.mu.Unlock()
	last, seen := s.cluster.last[o.Public]
	switch {
	case seen && last == (taken{use.Counter(), nonce}):
		return "REPLAYED_REQUEST"
	case seen && use.Counter() <= last.counter:
		return "REPLAYED_OTP"
	}
	s.cluster.last[o.Public] = taken{use.Counter(), nonce}
	return "OK"
}
