package session_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
)

var sink session.Live

// One session, asked for again and again.
func BenchmarkLiveHot(b *testing.B) {
	w := newWorld(b)
	cookie := w.open(w.user("alice")).Cookie.Reveal()
	w.passes(cookie)
	ctx, now := context.Background(), w.clock.Now()
	b.ReportAllocs()
	for b.Loop() {
		l, err := w.Live(ctx, cookie, now)
		if err != nil {
			b.Fatal(err)
		}
		sink = l
	}
}

// A cookie of our form that nobody issued: what a flood costs.
func BenchmarkLiveForged(b *testing.B) {
	w := newWorld(b)
	cookie := secret.NewSessionToken([]byte("another key")).Reveal()
	ctx, now := context.Background(), w.clock.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Live(ctx, cookie, now); err == nil {
			b.Fatal("a forged cookie lives")
		}
	}
}

const million = 1_000_000

// A million sessions of a thousand people in the index, asked for at random.
// B/session is what the heap holds for each, GC-us what a collection takes.
func BenchmarkLiveRandom1M(b *testing.B) {
	w := newWorld(b)
	cookies := make([]byte, 0, million*58) // one allocation, no pointers
	people := make([]*account.Identity, 1000)
	for i := range people {
		people[i] = &account.Identity{ID: principal.NewID(), Kind: principal.User, Name: fmt.Sprint("person", i), Realm: "users", Enabled: true, Epoch: 1, Methods: 1}
	}
	cookieOf := func(i int) string { return string(cookies[i*58 : (i+1)*58]) }
	for range million {
		cookies = append(cookies, secret.NewSessionToken([]byte("key")).Reveal()...)
	}
	before := heap()
	for i := range million {
		w.Plant(cookieOf(i), people[i%len(people)], start.Add(8*time.Hour))
	}
	grown := heap() - before
	ctx, now := context.Background(), w.clock.Now()
	order := make([]string, 1<<16)
	for i := range order {
		order[i] = cookieOf(rand.IntN(million))
	}
	at := time.Now()
	runtime.GC()
	collection := time.Since(at)
	i := 0
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		l, err := w.Live(ctx, order[i&(1<<16-1)], now)
		if err != nil {
			b.Fatal(err)
		}
		sink = l
		i++
	}
	b.ReportMetric(float64(grown)/million, "B/session")
	b.ReportMetric(float64(collection.Microseconds()), "GC-us")
	runtime.KeepAlive(w)
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// What the two below cost on this machine, now, Live cannot save: one block of
// SHA-256, and one read from a place in 64 MB that nothing foretells.
func BenchmarkFloorHash(b *testing.B) {
	var text [54]byte
	for b.Loop() {
		hash := sha256.Sum256(text[:])
		text[0] = hash[0]
	}
}

func BenchmarkFloorMemory(b *testing.B) {
	table, order := make([][64]byte, 1<<20), make([]uint32, 1<<16)
	for i := range order {
		order[i] = rand.Uint32N(1 << 20)
		table[order[i]][0] = byte(i)
	}
	i, last := 0, byte(0)
	for b.Loop() {
		last = table[(order[i&(1<<16-1)]+uint32(last))&(1<<20-1)][0]
		i++
	}
	runtime.KeepAlive(last)
}

// What a login costs here: one session in one committed Update, in place of another.
func BenchmarkOpen(b *testing.B) {
	w := newWorld(b)
	u, last := w.user("alice"), ""
	for b.Loop() {
		last = w.open(u, func(o *session.Opening) { o.Replaces = last }).ID
	}
}

func BenchmarkVerifyAccess(b *testing.B) {
	w := newWorld(b)
	token := w.access(w.open(w.user("alice")).Live)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.VerifyAccess(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}
