package otp_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/otp"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The example in the documentation of Yubico's C library.
func TestYubiKeyVector(t *testing.T) {
	o, err := otp.ParseYubiKey("dteffujehknhfjbrjnlnldnhcujvddbikngjrtgh")
	if err != nil || o.Public != "dteffuje" {
		t.Fatalf("%+v, %v", o, err)
	}
	key, private := unhex(t, "ecde18dbe76fbd0c33330f1c354871db"), unhex(t, "8792ebfe26cc")
	u, err := o.Open(key, private)
	if err != nil {
		t.Fatal(err)
	}
	if u.Session != 19 || u.Count != 17 || u.Clock != 0xc230 || u.Random != 0x9fc8 || u.Counter() != 19<<8|17 {
		t.Errorf("%+v", u)
	}
	if again := u.Seal("dteffuje", key); again.String() != o.String() {
		t.Errorf("sealed again: %s", again)
	}
}

// Whoever knows the public identity, which each one-time password shows, must not make
// one: another key, another private identity and a changed byte are refused alike.
func TestYubiKeyRefuses(t *testing.T) {
	key, private := unhex(t, "ecde18dbe76fbd0c33330f1c354871db"), unhex(t, "8792ebfe26cc")
	good := "dteffujehknhfjbrjnlnldnhcujvddbikngjrtgh"
	o, err := otp.ParseYubiKey(good)
	if err != nil {
		t.Fatal(err)
	}
	otherKey, otherPrivate := bytes.Clone(key), bytes.Clone(private)
	otherKey[15] ^= 1
	otherPrivate[5] ^= 1
	for name, try := range map[string]func() error{
		"another key":              func() error { _, err := o.Open(otherKey, private); return err },
		"another private identity": func() error { _, err := o.Open(key, otherPrivate); return err },
		"a short key":              func() error { _, err := o.Open(key[:8], private); return err },
		"no private identity":      func() error { _, err := o.Open(key, nil); return err },
		"AES-256":                  func() error { _, err := o.Open(append(key, key...), private); return err },
	} {
		if err := try(); !errors.Is(err, otp.ErrNotYubiKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := 8; i < len(good); i++ {
		letter := "c"
		if good[i] == 'c' {
			letter = "b"
		}
		changed, err := otp.ParseYubiKey(good[:i] + letter + good[i+1:])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := changed.Open(key, private); !errors.Is(err, otp.ErrNotYubiKey) {
			t.Errorf("letter %d changed: %v", i, err)
		}
	}
	past := otp.YubiKeyUse{Session: 0x8000}
	copy(past.Private[:], private)
	if _, err := past.Seal("", key).Open(key, private); !errors.Is(err, otp.ErrNotYubiKey) {
		t.Errorf("a counter beyond what keys have: %v", err)
	}
}

func TestParseYubiKey(t *testing.T) {
	cipher := "hknhfjbrjnlnldnhcujvddbikngjrtgh"
	for text, public := range map[string]string{
		cipher: "", " DTEFFUJE" + strings.ToUpper(cipher) + "\n": "dteffuje", strings.Repeat("c", 32) + cipher: strings.Repeat("c", 32),
	} {
		o, err := otp.ParseYubiKey(text)
		if err != nil || o.Public != public || !strings.HasSuffix(o.String(), cipher) {
			t.Errorf("%q: %+v %v", text, o, err)
		}
	}
	for _, text := range []string{"", "123456", cipher[1:], "c" + cipher, strings.Repeat("c", 34) + cipher, "aa" + cipher, cipher[:31] + "é", "cc " + cipher} {
		if _, err := otp.ParseYubiKey(text); !errors.Is(err, otp.ErrNotYubiKey) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzYubiKey(f *testing.F) {
	f.Add("dteffujehknhfjbrjnlnldnhcujvddbikngjrtgh")
	f.Add("HKNHFJBRJNLNLDNHCUJVDDBIKNGJRTGH ")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := otp.ParseYubiKey(text)
		if err != nil {
			return
		}
		again, err := otp.ParseYubiKey(o.String())
		if err != nil || again != o {
			t.Errorf("%q: %v, %v", text, again, err)
		}
	})
}
