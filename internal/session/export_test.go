package session

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport-auth/sallyport/internal/account"
)

// Beat runs what the background does by its ticker, all shards at once.
func (r *Registry) Beat() {
	for n := range shards / sweepShards {
		r.beat(n*rotateEvery + n) // the sweep walks on, keys are looked at
	}
}

// Sweep drops from the index what has expired.
func (r *Registry) Sweep() {
	for n := range shards {
		for _, id := range r.index.sweep(n, r.instant(r.clock())) {
			r.behind.reap(id, r.instant(r.clock()))
		}
	}
}

// SessionKey is where the record of a session stands.
func SessionKey(id string) []byte {
	n, ok := parseID(id)
	if !ok {
		panic("not an id")
	}
	return sessionKey(n)
}

// Known is the number of tokens in the index.
func (r *Registry) Known() int { return r.index.len() }

// People is the number of principals in the index.
func (r *Registry) People() int {
	r.people.mu.Lock()
	defer r.people.mu.Unlock()
	return len(r.people.slots)
}

// Waiting is the number of sessions with something to be written.
func (r *Registry) Waiting() int {
	r.behind.mu.Lock()
	defer r.behind.mu.Unlock()
	return len(r.behind.waiting)
}

// Assertions is the number of assertions that are remembered.
func (r *Registry) Assertions() int {
	r.assertions.mu.Lock()
	defer r.assertions.mu.Unlock()
	return len(r.assertions.younger) + len(r.assertions.elder)
}

// Plant puts an entry for a cookie into the index alone.
func (r *Registry) Plant(cookie string, who *account.Identity, until time.Time) {
	hash := hashOf(cookie)
	key := nameOf(hash[:])
	loaded := r.people.now()
	ok := r.index.insert(entry{
		key: key, id: key, epoch: uint32(who.Epoch), until: secondOf(until), idleUntil: secondOf(until),
		idle: 28800, amr: PWD | OTP, flags: flagPortal, passwordAt: 1e9, factorAt: 1e9,
	}, who, r.index.generation(key), &loaded)
	if !ok {
		panic("not planted")
	}
}

// Evict empties the index, as a restart does.
func (r *Registry) Evict() {
	for i := range r.index.shards {
		s := &r.index.shards[i]
		s.mu.Lock()
		for s.used > 0 {
			for j := range s.table {
				if s.table[j].flags&flagUsed != 0 {
					r.index.remove(s, j)
					break
				}
			}
		}
		s.mu.Unlock()
	}
}

// SignAs signs claims with a key of ours under any header: what an attacker who
// could choose would try.
func (r *Registry) SignAs(kind string, header map[string]any, claims jwt.MapClaims) string {
	ring, err := r.keys.get(context.Background())
	if err != nil {
		panic(err)
	}
	u := map[string]use{"access": useAccess, "assertion": useAssertion}[kind]
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	t.Header["kid"] = ring[u][0].id
	for k, v := range header {
		if v == nil {
			delete(t.Header, k)
			continue
		}
		t.Header[k] = v
	}
	text, err := t.SignedString(ring[u][0].private)
	if err != nil {
		panic(err)
	}
	return text
}

// AccessPublic is the public key that verifies access tokens, and its id.
func (r *Registry) AccessPublic() (ed25519.PublicKey, string) {
	ring, err := r.keys.get(context.Background())
	if err != nil {
		panic(err)
	}
	return ring[useAccess][0].private.Public().(ed25519.PublicKey), ring[useAccess][0].id
}

// TestIndex is the table alone.
type TestIndex struct {
	x      *index
	person *account.Identity
}

// NewTestIndex makes an empty table.
func NewTestIndex(who *account.Identity) *TestIndex {
	return &TestIndex{&index{people: newPeople()}, who}
}

func testKey(n uint64) (k name) {
	binary.LittleEndian.PutUint64(k[4:], n%7|n<<32) // few fingerprints: long chains
	k[0] = byte(n % 3)
	return k
}

// Insert adds key n with a value.
func (t *TestIndex) Insert(n uint64, value uint32) bool {
	loaded := t.x.people.now()
	return t.x.insert(entry{key: testKey(n), id: testKey(n), until: second(value)}, t.person, t.x.generation(testKey(n)), &loaded)
}

// Forget removes key n.
func (t *TestIndex) Forget(n uint64) { t.x.forget(testKey(n)) }

// Get returns the value of key n.
func (t *TestIndex) Get(n uint64) (value uint32, ok bool) {
	e, who, ok := t.x.get(testKey(n))
	return uint32(e.until), ok && who != nil
}

// Len is the number of keys.
func (t *TestIndex) Len() int { return t.x.len() }

// People is the number of principals.
func (t *TestIndex) People() int { return len(t.x.people.slots) }
