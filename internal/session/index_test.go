package session_test

import (
	"math/rand/v2"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
)

// The table holds what a map would, with keys that all fall into few places, so
// that chains are long and removals move entries.
func TestIndexIsAMap(t *testing.T) {
	x := session.NewTestIndex(&account.Identity{ID: principal.NewID()})
	want := map[uint64]uint32{}
	r := rand.New(rand.NewPCG(1, 2))
	for step := range 60_000 {
		n := r.Uint64N(400)
		switch value := r.Uint32(); r.IntN(3 + step/30_000) { // grows, then shrinks
		case 0:
			if !x.Insert(n, value) {
				t.Fatal("not inserted")
			}
			want[n] = value
		case 1, 3:
			x.Forget(n)
			delete(want, n)
		case 2:
			got, ok := x.Get(n)
			if w, there := want[n]; ok != there || got != w {
				t.Fatalf("step %d, key %d: got %d %v, want %d %v", step, n, got, ok, w, there)
			}
		}
		if x.Len() != len(want) {
			t.Fatalf("step %d: %d keys, want %d", step, x.Len(), len(want))
		}
	}
	for n := range uint64(400) {
		x.Forget(n)
	}
	if x.Len() != 0 || x.People() != 0 {
		t.Fatalf("%d keys of %d people are left", x.Len(), x.People())
	}
}
