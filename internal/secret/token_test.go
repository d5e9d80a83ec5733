package secret_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

var kinds = []secret.TokenKind{secret.Ephemeral, secret.Refresh, secret.Link, secret.Device, secret.Browser}

func TestTokensComeBack(t *testing.T) {
	for _, kind := range kinds {
		token := secret.NewToken(kind)
		text := token.Reveal()
		back, err := secret.ParseToken(kind, text)
		if err != nil || back.Hash() != token.Hash() || back.Kind() != kind || back.Reveal() != text || token.IsZero() {
			t.Errorf("%s: %v", kind, err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(text[4:])
		if err != nil || len(raw) != 32 || sha256.Sum256(raw) != token.Hash() {
			t.Errorf("the hash is the SHA-256 of the raw bytes: %v", err)
		}
	}
	if !(secret.Token{}).IsZero() || !(secret.SessionToken{}).IsZero() {
		t.Error("the zero token is none")
	}
}

func TestSessionTokensCarryAMAC(t *testing.T) {
	key := []byte("a key of the gateway")
	token := secret.NewSessionToken(key)
	back, err := secret.ParseSessionToken(token.Reveal())
	if err != nil || back.Hash() != token.Hash() || !back.CheckMAC(key) || back.Reveal() != token.Reveal() || back.IsZero() {
		t.Fatalf("%v", err)
	}
	if back.CheckMAC([]byte("another key")) || back.CheckMAC(nil) {
		t.Error("the MAC is good under another key")
	}
	raw, _ := base64.RawURLEncoding.DecodeString(token.Reveal()[4:])
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			forged, err := secret.ParseSessionToken("sps_" + base64.RawURLEncoding.EncodeToString(raw))
			if err != nil || forged.CheckMAC(key) {
				t.Fatalf("bit %d of byte %d flipped: %v, MAC good", bit, i, err)
			}
			raw[i] ^= 1 << bit
		}
	}
}

// TestS5ATokenIsGoodInOneFormAndForOneKind: a service token was good at an
// internal API that shared its key, and truncated tokens were valid. Here
// every cut, extension, flipped bit and swapped kind is refused, or is another
// token with another hash.
func TestS5ATokenIsGoodInOneFormAndForOneKind(t *testing.T) {
	session := secret.NewSessionToken([]byte("key"))
	parseSession := func(s string) ([32]byte, error) { token, err := secret.ParseSessionToken(s); return token.Hash(), err }
	mangle(t, session.Reveal(), session.Hash(), parseSession)
	for _, kind := range kinds {
		token := secret.NewToken(kind)
		mangle(t, token.Reveal(), token.Hash(), func(s string) ([32]byte, error) {
			token, err := secret.ParseToken(kind, s)
			return token.Hash(), err
		})
		for _, other := range append(kinds, secret.Session, "", "spx_", "spe") {
			if other == kind {
				continue
			}
			if _, err := secret.ParseToken(other, token.Reveal()); !errors.Is(err, secret.ErrToken) {
				t.Errorf("a token of kind %s was accepted as %q: %v", kind, other, err)
			}
		}
		for _, s := range []string{token.Reveal(), "sps_" + token.Reveal()[4:], string(kind) + session.Reveal()[4:], string(kind) + session.Reveal()[4:47]} {
			if _, err := secret.ParseSessionToken(s); err == nil {
				t.Errorf("%.4s… of kind %s was accepted as a session", s, kind)
			}
		}
		if _, err := secret.ParseToken(kind, session.Reveal()); err == nil {
			t.Errorf("a session was accepted as %s", kind)
		}
	}
	if _, err := secret.ParseToken(secret.Session, session.Reveal()); !errors.Is(err, secret.ErrToken) {
		t.Error("sessions have a parser of their own")
	}
}

func mangle(t *testing.T, text string, hash [32]byte, parse func(string) ([32]byte, error)) {
	t.Helper()
	if got, err := parse(text); err != nil || got != hash {
		t.Fatalf("%.4s…: %v", text, err)
	}
	var bad []string
	for i := range text {
		bad = append(bad, text[:i], text[i+1:], text[:i]+"\n"+text[i+1:], text[:i]+"\n"+text[i:], text[:i]+"="+text[i+1:], text[:i]+"+"+text[i+1:], text[:i]+"é"+text[i+1:])
	}
	bad = append(bad, text+"A", text+"=", text+"==", text+" ", " "+text, text+"\x00", text+"\n", text+text, strings.ToUpper(text[:4])+text[4:], strings.Repeat("A", 1<<16), text[4:])
	for _, s := range bad {
		if _, err := parse(s); !errors.Is(err, secret.ErrToken) {
			t.Fatalf("%q was accepted (%v), it is not %q", s, err, text)
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := 4; i < len(text); i++ {
		for _, c := range alphabet {
			other := text[:i] + string(c) + text[i+1:]
			got, err := parse(other)
			// the last bytes of a session token are its MAC, which CheckMAC judges
			if err == nil && other != text && got == hash && i < 4+43-1 {
				t.Fatalf("%q and %q are the same token", text, other)
			}
			if err == nil && i == len(text)-1 && other != text && strings.IndexRune(alphabet, c)%4 != 0 {
				t.Fatalf("%q has trailing bits and was accepted", other)
			}
		}
	}
}

func TestAKindWithoutTokensPanics(t *testing.T) {
	for _, kind := range []secret.TokenKind{secret.Session, "", "xyz_"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewToken(%q) made something", kind)
				}
			}()
			secret.NewToken(kind)
		}()
	}
}

// TestE4TokensNeverCollide: tokens came from math/rand and repeated.
func TestE4TokensNeverCollide(t *testing.T) {
	const n = 20000
	seen := make(map[[32]byte]bool, 2*n)
	halves := make(map[string]bool, 2*n) // 64 bits of the text, so that a counter would show too
	for range n {
		for _, token := range []interface {
			Hash() [32]byte
			Reveal() string
		}{secret.NewToken(secret.Refresh), secret.NewSessionToken([]byte("key"))} {
			hash, half := token.Hash(), token.Reveal()[4:15]
			if seen[hash] || halves[half] {
				t.Fatal("a token came twice")
			}
			seen[hash], halves[half] = true, true
		}
	}
}

func TestParsingDoesNotAllocate(t *testing.T) {
	text, session := secret.NewToken(secret.Refresh).Reveal(), secret.NewSessionToken([]byte("key")).Reveal()
	for name, f := range map[string]func(){
		"token":         func() { token, _ := secret.ParseToken(secret.Refresh, text); token.Hash() },
		"session":       func() { token, _ := secret.ParseSessionToken(session); token.Hash() },
		"wrong session": func() { _, _ = secret.ParseSessionToken(session[:57] + "!") },
	} {
		if allocs := testing.AllocsPerRun(100, f); allocs > 0 && name != "wrong session" || allocs > 1 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

func BenchmarkParseSessionToken(b *testing.B) {
	text := secret.NewSessionToken([]byte("key")).Reveal()
	b.ReportAllocs()
	for b.Loop() {
		token, err := secret.ParseSessionToken(text)
		if err != nil {
			b.Fatal(err)
		}
		token.Hash()
	}
}

func BenchmarkCheckMAC(b *testing.B) {
	key := []byte("0123456789abcdef0123456789abcdef")
	token := secret.NewSessionToken(key)
	b.ReportAllocs()
	for b.Loop() {
		token.CheckMAC(key)
	}
}

func FuzzParseToken(f *testing.F) {
	for _, kind := range append(kinds, secret.Session) {
		f.Add(string(kind), string(kind)+strings.Repeat("A", 43))
		f.Add(string(kind), string(kind)+strings.Repeat("_", 43))
	}
	f.Fuzz(func(t *testing.T, kind, text string) {
		token, err := secret.ParseToken(secret.TokenKind(kind), text)
		if (err == nil) != (!token.IsZero()) || err == nil && token.Reveal() != text {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func FuzzParseSessionToken(f *testing.F) {
	f.Add("sps_" + strings.Repeat("A", 54))
	f.Add("sps_" + strings.Repeat("A", 53) + "B")
	f.Add("spe_" + strings.Repeat("A", 54))
	f.Fuzz(func(t *testing.T, text string) {
		if token, err := secret.ParseSessionToken(text); err == nil && token.Reveal() != text {
			t.Fatalf("%q is also %q", text, token.Reveal())
		}
	})
}
