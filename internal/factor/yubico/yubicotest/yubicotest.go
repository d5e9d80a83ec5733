// Package yubicotest is a validation server of Yubico's protocol 2.0 on loopback, and
// YubiKeys of software, for tests.
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

// Key is a YubiKey of software. Press types its next one-time password.
type Key struct {
	Public  string
	Private []byte
	Secret  []byte

	mu  sync.Mutex
	use otp.YubiKeyUse
}

// NewKey makes a key with a public identity of its own.
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

// Press returns the next one-time password.
func (k *Key) Press() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.use.Count++; k.use.Count == 0 {
		k.use.Session++
	}
	return k.use.Seal(k.Public, k.Secret).String()
}

// Server is a validation server that knows some keys and one client.
type Server struct {
	URL      string
	ClientID string
	Key      string // of the client, in base64

	mu      sync.Mutex
	secret  []byte
	keys    map[string]*Key
	last    map[string]uint32
	nonces  map[string]bool
	asked   int
	distort func(answer map[string]string) (status int, raw string)
}

// New starts a server that lives as long as the test.
func New(t testing.TB, keys ...*Key) *Server {
	t.Helper()
	s := &Server{ClientID: "4711", secret: random(20), keys: map[string]*Key{}, last: map[string]uint32{}, nonces: map[string]bool{}}
	s.Key = base64.StdEncoding.EncodeToString(s.secret)
	for _, k := range keys {
		s.keys[k.Public] = k
	}
	server := httptest.NewServer(http.HandlerFunc(s.verify))
	t.Cleanup(server.Close)
	s.URL = server.URL + "/wsapi/2.0/verify"
	return s
}

// Asked is how many questions were put.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Distort has fn answer in place of the server: a status and a body; "" leaves the true
// answer, signed, of what fn made of it. nil: the truth again.
func (s *Server) Distort(fn func(answer map[string]string) (status int, raw string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.distort = fn
}

var nonceForm = regexp.MustCompile(`^[A-Za-z0-9]{16,40}$`)

// verify answers as section 3 and 4 of the protocol say, and takes nothing on trust.
func (s *Server) verify(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	question := map[string]string{}
	for name, values := range r.URL.Query() {
		if len(values) == 1 {
			question[name] = values[0]
		}
	}
	answer := map[string]string{"t": time.Now().UTC().Format("2006-01-02T15:04:05Z0") + "123", "otp": question["otp"], "nonce": question["nonce"], "sl": "25"}
	answer["status"] = s.status(r, question)
	status, raw := http.StatusOK, ""
	if s.distort != nil {
		status, raw = s.distort(answer)
	}
	if raw == "" {
		if _, own := answer["h"]; !own {
			answer["h"] = yubico.Sign(s.secret, answer)
		}
		var b strings.Builder
		for name, value := range answer {
			fmt.Fprintf(&b, "%s=%s\r\n", name, value)
		}
		raw = b.String()
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(raw))
}

func (s *Server) status(r *http.Request, question map[string]string) string {
	signed := map[string]string{}
	for name, value := range question {
		if name != "h" {
			signed[name] = value
		}
	}
	o, err := otp.ParseYubiKey(question["otp"])
	switch {
	case r.Method != http.MethodGet || question["id"] == "" || question["otp"] == "" || !nonceForm.MatchString(question["nonce"]):
		return "MISSING_PARAMETER"
	case question["id"] != s.ClientID:
		return "NO_SUCH_CLIENT"
	case !hmac.Equal([]byte(yubico.Sign(s.secret, signed)), []byte(question["h"])):
		return "BAD_SIGNATURE"
	case s.nonces[question["nonce"]]:
		return "REPLAYED_REQUEST"
	case err != nil || s.keys[o.Public] == nil:
		return "BAD_OTP"
	}
	s.nonces[question["nonce"]] = true
	k := s.keys[o.Public]
	use, err := o.Open(k.Secret, k.Private)
	switch {
	case err != nil:
		return "BAD_OTP"
	case use.Counter() <= s.last[o.Public]:
		return "REPLAYED_OTP"
	}
	s.last[o.Public] = use.Counter()
	return "OK"
}

// Share makes s a server of the same cluster as other: for the same client.
func (s *Server) Share(other *Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ClientID, s.Key, s.secret = other.ClientID, other.Key, other.secret
}
