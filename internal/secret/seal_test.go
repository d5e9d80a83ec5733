package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

func newKey(t *testing.T) secret.Key {
	t.Helper()
	key, err := secret.ParseMasterKey([]byte(secret.NewMasterKeyText()))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRing(t *testing.T, current secret.Key, older ...secret.Key) *secret.Keyring {
	t.Helper()
	ring, err := secret.KeyringOf(current, older...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestSealedValuesComeBack(t *testing.T) {
	ring := newRing(t, newKey(t))
	for _, plain := range [][]byte{nil, {}, []byte("x"), bytes.Repeat([]byte("long"), 10000)} {
		for _, ad := range [][]byte{nil, []byte("account/alice")} {
			sealed := ring.Seal(ad, plain)
			got, err := ring.Open(ad, sealed)
			if err != nil || !bytes.Equal(got, plain) || len(sealed) != len(plain)+secret.SealOverhead {
				t.Errorf("%d bytes: %v", len(plain), err)
			}
			if len(plain) > 0 && bytes.Contains(sealed[:], plain) && len(plain) > 1 {
				t.Error("the plain text is in the sealed one")
			}
			if bytes.Equal(sealed, ring.Seal(ad, plain)) {
				t.Error("the nonce came twice")
			}
		}
	}
}

// Whoever writes to the database flips bits, cuts values, or moves the sealed
// password of one user under the name of another.
func TestChangedOrMovedValuesDoNotOpen(t *testing.T) {
	ring := newRing(t, newKey(t))
	ad := []byte("account/alice")
	sealed := ring.Seal(ad, []byte("plain"))
	for i := range sealed {
		for bit := range 8 {
			forged := bytes.Clone(sealed)
			forged[i] ^= 1 << bit
			if plain, err := ring.Open(ad, forged); !errors.Is(err, secret.ErrSealed) || plain != nil {
				t.Fatalf("byte %d bit %d: %q, %v", i, bit, plain, err)
			}
		}
	}
	for n := range sealed {
		if _, err := ring.Open(ad, sealed[:n]); !errors.Is(err, secret.ErrSealed) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for _, other := range [][]byte{nil, []byte("account/alic"), []byte("account/alicee"), []byte("account/bob")} {
		if _, err := ring.Open(other, sealed); !errors.Is(err, secret.ErrSealed) || errors.Is(err, secret.ErrUnknownKey) {
			t.Errorf("moved to %q: %v", other, err)
		}
	}
	if _, err := ring.Open(ad, append(bytes.Clone(sealed), 0)); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("extended: %v", err)
	}
}

func TestKeysRotate(t *testing.T) {
	old, current := newKey(t), newKey(t)
	before, after := newRing(t, old), newRing(t, current, old)
	value := before.Seal(nil, []byte("kept"))
	if plain, err := after.Open(nil, value); err != nil || string(plain) != "kept" {
		t.Errorf("the older key no longer opens: %v", err)
	}
	id, err := secret.SealedUnder(after.Seal(nil, []byte("new")))
	if err != nil || id != secret.KeyIDOf(current) || after.Current() != id || !after.Holds(id) || before.Holds(id) {
		t.Errorf("sealed under %08x: %v", id, err)
	}
	if _, err := before.Open(nil, after.Seal(nil, []byte("new"))); !errors.Is(err, secret.ErrUnknownKey) || !errors.Is(err, secret.ErrSealed) {
		t.Errorf("a wrong key is told apart: %v", err)
	}
	if _, err := secret.NewKeyring(1, map[secret.KeyID]secret.Key{secret.KeyIDOf(old): old}); err == nil {
		t.Error("the current key is missing")
	}
	if _, err := secret.NewKeyring(1, map[secret.KeyID]secret.Key{1: old}); err == nil {
		t.Error("a key stands under another's id")
	}
}

func TestPurposesDoNotMeet(t *testing.T) {
	ring := newRing(t, newKey(t))
	rings := []*secret.Keyring{ring}
	for _, purpose := range []string{"store", "backup"} {
		r, err := ring.For(purpose)
		if err != nil {
			t.Fatal(err)
		}
		rings = append(rings, r)
	}
	for i, from := range rings {
		sealed := from.Seal(nil, []byte("plain"))
		for j, to := range rings {
			if _, err := to.Open(nil, sealed); (err == nil) != (i == j) {
				t.Errorf("ring %d opens what ring %d sealed: %v", j, i, err)
			}
		}
	}
	key := newKey(t)
	if a, b := secret.Derive(key[:], "a"), secret.Derive(key[:], "b"); len(a) != 32 || bytes.Equal(a, b) || !bytes.Equal(a, secret.Derive(key[:], "a")) {
		t.Error("a purpose gives one key of its own")
	}
}

// TestH8PartsOfAMACDoNotRunTogether: a cache of checked passwords had the name
// and the password joined, so "a"+"bc" got the identity of "ab"+"c".
func TestH8PartsOfAMACDoNotRunTogether(t *testing.T) {
	key := []byte("key")
	seen := map[[32]byte][]string{}
	pieces := []string{"", "a", "ab", "abc", "b", "bc", "c", ":", "a:", ":b", "a:b", "\x00", "a\x00", "\x00b", "\x00\x00\x00\x00\x00\x00\x00\x01", "\x00\x00\x00\x00\x00\x00\x00\x01a"}
	add := func(parts ...string) {
		raw := make([][]byte, len(parts))
		for i, part := range parts {
			raw[i] = []byte(part)
		}
		mac := secret.MAC(key, raw...)
		if before, ok := seen[mac]; ok {
			t.Errorf("%q and %q have the same MAC", before, parts)
		}
		seen[mac] = parts
	}
	add()
	for _, a := range pieces {
		add(a)
		for _, b := range pieces {
			add(a, b)
			for _, c := range pieces {
				add(a, b, c)
			}
		}
	}
	if secret.MAC(key, []byte("a")) == secret.MAC([]byte("other"), []byte("a")) {
		t.Error("the key does not matter")
	}
}

func TestMasterKeysAsFilesHoldThem(t *testing.T) {
	want := secret.Key([]byte("0123456789abcdef\xff\xfe\xfd\xfc89abcdef\xfb\xf0\x00\x01"))
	for _, text := range []string{
		hex.EncodeToString(want[:]), strings.ToUpper(hex.EncodeToString(want[:])), base64.StdEncoding.EncodeToString(want[:]) + "\n", base64.RawStdEncoding.EncodeToString(want[:]),
		base64.URLEncoding.EncodeToString(want[:]), " \t" + base64.RawURLEncoding.EncodeToString(want[:]) + "\r\n\r\n",
	} {
		if got, err := secret.ParseMasterKey([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{
		"", "\n", canary, hex.EncodeToString(want[:31]), hex.EncodeToString(want[:]) + "00", base64.StdEncoding.EncodeToString(want[:16]), string(want[:]), strings.Repeat("A", 43) + "=",
		base64.StdEncoding.EncodeToString(want[:])[:20] + "\n" + base64.StdEncoding.EncodeToString(want[:])[20:], strings.Repeat("0", 64), strings.Repeat("A", 1<<20),
	} {
		key, err := secret.ParseMasterKey([]byte(text))
		if err == nil || key != (secret.Key{}) {
			t.Errorf("%.80q was accepted", text)
		} else if strings.Contains(err.Error(), canary) || len(err.Error()) > 200 {
			t.Errorf("the error shows the key: %v", err)
		}
	}
	if first, second := secret.NewMasterKeyText(), secret.NewMasterKeyText(); first == second {
		t.Error("the same key twice")
	}
}

func FuzzParseMasterKey(f *testing.F) {
	f.Add([]byte(strings.Repeat("0f", 32)))
	f.Add([]byte(" AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if key, err := secret.ParseMasterKey(text); err == nil {
			if again, err := secret.ParseMasterKey([]byte(hex.EncodeToString(key[:]))); err != nil || again != key {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}

func FuzzOpen(f *testing.F) {
	key, err := secret.ParseMasterKey([]byte(strings.Repeat("0f", 32)))
	if err != nil {
		f.Fatal(err)
	}
	ring, err := secret.KeyringOf(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("ad"), []byte{})
	f.Add([]byte("ad"), append([]byte{1}, make([]byte, 60)...))
	f.Add([]byte("other"), ring.Seal([]byte("ad"), []byte("plain")))
	f.Fuzz(func(t *testing.T, ad, sealed []byte) {
		if plain, err := ring.Open(ad, sealed); err == nil || !errors.Is(err, secret.ErrSealed) || plain != nil {
			t.Fatalf("%x opened: %v", sealed, err)
		}
	})
}
