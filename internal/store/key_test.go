package store_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// A room that writes below another's prefix reads the other's records as its own.
func TestNoPrefixIsTheStartOfAnother(t *testing.T) {
	table := store.Prefixes()
	for i, a := range table {
		if a.Prefix == "" || a.Room == "" {
			t.Errorf("row %d is incomplete", i)
		}
		for j, b := range table {
			if i != j && strings.HasPrefix(string(b.Prefix), string(a.Prefix)) {
				t.Errorf("%q of %s is the start of %q of %s", a.Prefix, a.Room, b.Prefix, b.Room)
			}
		}
	}
}

// Somebody registers as "alice\x00\x01admin" or "a/b", hoping for the key of
// another record.
func TestPartsCannotBeForged(t *testing.T) {
	p := store.PrefixAccount
	pairs := [][2]store.Key{
		{store.K(p, "alice", "admin"), store.K(p, "alice\x00\x01admin")},
		{store.K(p, "alice", ""), store.K(p, "alice")},
		{store.K(p, "a", "bc"), store.K(p, "ab", "c")},
		{store.K(p, "a\x00"), store.K(p, "a", "")},
		{store.K(p, "a\x00\xff"), store.K(p, "a\x00")},
		{store.K(p, ""), store.K(p)},
		{store.K(p, "alice\x00\x00"), store.K(p, "alice")},
	}
	for _, pair := range pairs {
		if bytes.HasPrefix(pair[0], pair[1]) || bytes.HasPrefix(pair[1], pair[0]) {
			t.Errorf("%q and %q are too close", pair[0], pair[1])
		}
	}
}

func FuzzKey(f *testing.F) {
	f.Add([]byte("alice"), []byte("users"), []byte("alic"), []byte("eusers"))
	f.Add([]byte("a\x00"), []byte(""), []byte("a"), []byte("\x00"))
	f.Add([]byte("\x00\xff"), []byte("\x00\x01"), []byte("\x00"), []byte("\x01\x00"))
	f.Add([]byte(""), []byte(""), []byte("\x00\x00"), []byte("\xff\xff"))
	f.Fuzz(func(t *testing.T, a1, a2, b1, b2 []byte) {
		checkPair(t, [][]byte{a1, a2}, [][]byte{b1, b2})
		checkPair(t, [][]byte{a1}, [][]byte{b1, b2})
		checkPair(t, [][]byte{a1}, [][]byte{a1, b2})
		checkPair(t, nil, [][]byte{b1})
	})
}

// checkPair: taking apart gives the parts back, order is kept, and neither key is
// the start of the other.
func checkPair(t *testing.T, a, b [][]byte) {
	t.Helper()
	ka, kb := keyOf(a), keyOf(b)
	for _, c := range []struct {
		key   store.Key
		parts [][]byte
	}{{ka, a}, {kb, b}} {
		if got, ok := store.Parts(store.PrefixCompat, c.key); !ok || !slices.EqualFunc(got, c.parts, bytes.Equal) {
			t.Errorf("Parts(%q) = %q, %v; want %q", c.key, got, ok, c.parts)
		}
	}
	want := slices.CompareFunc(a, b, bytes.Compare)
	if got := bytes.Compare(ka, kb); got != want {
		t.Errorf("keys of %q and %q compare as %d, the parts as %d", a, b, got, want)
	}
	if want != 0 && (bytes.HasPrefix(ka, kb) || bytes.HasPrefix(kb, ka)) {
		t.Errorf("one of %q and %q is the start of the other", ka, kb)
	}
	n := min(len(a), 1)
	if !bytes.HasPrefix(ka, store.KPrefix(store.PrefixCompat, anys(a[:n])...)) {
		t.Errorf("%q does not start with its first part", ka)
	}
	if n == 1 && len(b) > 0 && !bytes.Equal(a[0], b[0]) && bytes.HasPrefix(kb, store.KPrefix(store.PrefixCompat, a[0])) {
		t.Errorf("a Scan below %q meets %q", a[0], kb)
	}
}

func keyOf(parts [][]byte) store.Key { return store.K(store.PrefixCompat, anys(parts)...) }

func anys(parts [][]byte) []any {
	out := make([]any, len(parts))
	for i, part := range parts {
		out[i] = part
	}
	return out
}

func TestRandomKeys(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []byte{0, 0, 1, 0xFF, 'a', 'b'} // where borders could be mistaken
	parts := func() (parts [][]byte) {
		for range random.IntN(4) {
			part := make([]byte, random.IntN(4))
			for i := range part {
				part[i] = alphabet[random.IntN(len(alphabet))]
			}
			parts = append(parts, part)
		}
		return parts
	}
	for range 50_000 {
		checkPair(t, parts(), parts())
	}
}

func TestOrderOfTypedParts(t *testing.T) {
	type name string
	type number int
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	p := store.PrefixAudit
	ordered := [][]store.Key{
		{store.K(p, uint64(0)), store.K(p, uint64(255)), store.K(p, uint64(256)), store.K(p, uint64(1<<63)), store.K(p, ^uint64(0))},
		{store.K(p, number(-300)), store.K(p, number(-1)), store.K(p, 0), store.K(p, 7), store.K(p, int64(1<<40))},
		{store.K(p, time.Time{}), store.K(p, time.Unix(-1, 0)), store.K(p, time.Unix(0, 0)), store.K(p, at), store.K(p, at.Add(1)), store.K(p, at.AddDate(1000, 0, 0))},
		{store.K(p, name("alice")), store.K(p, "alicia"), store.K(p, []byte("bob"))},
	}
	for _, keys := range ordered {
		if !slices.IsSortedFunc(keys, bytes.Compare) || len(slices.CompactFunc(slices.Clone(keys), bytes.Equal)) != len(keys) {
			t.Errorf("not in order: %q", keys)
		}
	}
	if !bytes.Equal(store.K(p, at), store.K(p, at.UTC())) {
		t.Error("the zone of a time changes its key")
	}
	parts, ok := store.Parts(p, store.K(p, at, uint64(42)))
	if !ok {
		t.Fatal("no parts")
	}
	if got, ok := store.PartTime(parts[0]); !ok || !got.Equal(at) {
		t.Errorf("time = %v", got)
	}
	if n, ok := store.PartUint(parts[1]); !ok || n != 42 {
		t.Errorf("number = %d", n)
	}
}

func TestStartOfAPart(t *testing.T) {
	p := store.PrefixAccount
	start := store.KStart(p, "users", store.OpenString("ali"))
	for name, want := range map[string]bool{"ali": true, "alice": true, "ali\x00": true, "al": false, "bob": false} {
		if got := bytes.HasPrefix(store.K(p, "users", name), start); got != want {
			t.Errorf("%q starts with ali: %v", name, got)
		}
	}
	if bytes.HasPrefix(store.K(p, "usersali"), start) {
		t.Error("another realm is met")
	}
}

func TestBadPartsPanic(t *testing.T) {
	for _, part := range []any{nil, 1.5, true, store.OpenString("x"), []string{"x"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%T was taken", part)
				}
			}()
			store.K(store.PrefixAccount, part)
		}()
	}
	for _, key := range []string{"", "a", "a/", "a/x", "a/x\x00", "a/x\x00\x01", "a/x\x00\x02", "a/x\x00\x00", "a/x\x00\x01\x00\x00y", "b/\x00\x00"} {
		if parts, ok := store.Parts(store.PrefixAccount, []byte(key)); ok {
			t.Errorf("Parts(%q) = %q", key, parts)
		}
	}
}

func BenchmarkK(b *testing.B) {
	id := [16]byte{1, 2, 3}
	b.ReportAllocs()
	for b.Loop() {
		store.K(store.PrefixSession, "id", id)
	}
}
