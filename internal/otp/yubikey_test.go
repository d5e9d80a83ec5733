package otp_test

import (
	"bytes"
	"crypto/aes"
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

// The example that Yubico's key storage module tests itself with.
func TestYubiKeyVectorOfTheKeyStore(t *testing.T) {
	o, err := otp.ParseYubiKey("idkfefrdhtrutjduvtcjbfeuvhehdvjjlbchtlenfgku")
	if err != nil || o.Public != "idkfefrdhtru" {
		t.Fatalf("%+v, %v", o, err)
	}
	u, err := o.Open(unhex(t, "c68c9df8cbfe7d2f994cb904046c7218"), unhex(t, "609963eae7b5"))
	if err != nil || u.Session != 1 || u.Count != 0 || u.Clock != 0x0f8d40 || u.Counter() != 1<<8 {
		t.Errorf("%+v, %v", u, err)
	}
}

// The examples of modhex in test-vectors.txt.
func TestModhexVectors(t *testing.T) {
	for text, want := range map[string]string{
		"dteffuje": "2d344e83", "hknhfjbrjnlnldnhcujvddbikngjrtgh": "69b6481c8baba2b60e8f22179b58cd56",
		"urtubjtnuihvntcreeeecvbregfjibtn": "ecde18dbe76fbd0c33330f1c354871db", "ifhgieif": hex.EncodeToString([]byte("test")),
		"cbdefghijklnrtuv": "0123456789abcdef", "": "",
	} {
		got, err := otp.Modhex(text)
		if err != nil || hex.EncodeToString(got) != want || otp.FormatModhex(got) != text {
			t.Errorf("%s: %x, %v", text, got, err)
		}
	}
	for _, text := range []string{"c", "ccc", "ca", "c c", "0123", "\u212ac", "ｃｃ", "ifhgieif\n"} {
		if got, err := otp.Modhex(text); !errors.Is(err, otp.ErrNotYubiKey) {
			t.Errorf("%q: %x, %v", text, got, err)
		}
	}
}

// A one-time password that somebody noted is sent after later ones: of the same session,
// of one before, and of one in which the key typed more often. Later ones have a greater
// counter, whatever the clock and the capitals say.
func TestYubiKeyCountersOnlyGrow(t *testing.T) {
	key, private := unhex(t, "ecde18dbe76fbd0c33330f1c354871db"), unhex(t, "8792ebfe26cc")
	last := int64(-1)
	for _, u := range []otp.YubiKeyUse{
		{Session: 0, Count: 0, Clock: 0xffffff}, {Session: 0, Count: 1}, {Session: 0, Count: 255}, {Session: 1, Count: 0}, {Session: 1, Count: 2, Random: 7},
		{Session: 0x8001, Count: 3}, {Session: 1, Count: 4}, {Session: 255, Count: 255}, {Session: 256, Count: 0}, {Session: 0x7fff, Count: 255},
	} {
		copy(u.Private[:], private)
		got, err := u.Seal("cccc", key).Open(key, private)
		if err != nil || got.Count != u.Count || got.Session != u.Session&0x7fff || got.Clock != u.Clock || got.Random != u.Random {
			t.Fatalf("%+v: %+v, %v", u, got, err)
		}
		if int64(got.Counter()) <= last {
			t.Errorf("%+v: %d after %d", u, got.Counter(), last)
		}
		last = int64(got.Counter())
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
	// The checksum alone: whoever finds a block that decrypts to the private identity has
	// the rest wrong.
	var use otp.YubiKeyUse
	copy(use.Private[:], private)
	sealed := use.Seal("", key).String()
	if _, err := mustParse(t, sealed).Open(key, private); err != nil {
		t.Errorf("sealed: %v", err)
	}
	if _, err := mustParse(t, encrypted(t, key, append(bytes.Clone(private), make([]byte, 10)...))).Open(key, private); !errors.Is(err, otp.ErrNotYubiKey) {
		t.Errorf("no checksum: %v", err)
	}
}

func mustParse(t *testing.T, text string) otp.YubiKeyOTP {
	t.Helper()
	o, err := otp.ParseYubiKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// encrypted is what a key would type that holds these 16 bytes.
func encrypted(t *testing.T, key, plain []byte) string {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, aes.BlockSize)
	block.Encrypt(out, plain)
	return otp.FormatModhex(out)
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
	for _, text := range []string{"", "123456", cipher[1:], "c" + cipher, strings.Repeat("c", 34) + cipher, "aa" + cipher, cipher[:31] + "é", "cc " + cipher,
		"\u212a" + cipher[:31], cipher[:31] + "\u212a", "\u212ac" + cipher, "c\u0130" + cipher, "\u00a0" + cipher, cipher + "\x00", cipher + "\v",
		"jxe.uidchtnbpygkjxe.uidchtnbpygk", strings.Repeat("c", 1<<20),
	} {
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

func FuzzYubiKeyUse(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), []byte("6bytes"), uint16(19), uint8(17), uint32(0xc230), uint16(0x9fc8))
	f.Fuzz(func(t *testing.T, key, private []byte, session uint16, count uint8, clock uint32, random uint16) {
		if len(key) != otp.YubiKeySecret || len(private) != otp.YubiKeyPrivate {
			return
		}
		u := otp.YubiKeyUse{Session: session & 0x7fff, Count: count, Clock: clock & 0xffffff, Random: random}
		copy(u.Private[:], private)
		if got, err := u.Seal("cccc", key).Open(key, private); err != nil || got != u {
			t.Errorf("%+v: %+v, %v", u, got, err)
		}
	})
}
