package session

import (
	"encoding/binary"
	"sync"

	"github.com/sallyport-auth/sallyport/internal/account"
)

// name is what the index knows of a token: half of its hash (hashOf). The
// name of a session's portal token is the session's id.
type name [16]byte

// entry is one token in the index: 64 bytes, a cache line, and no pointer, so
// that the garbage collector does not walk millions of them.
type entry struct {
	key        name
	id         name   // of the session; equals key for a portal token
	person     uint32 // slot in people
	epoch      uint32 // the low bits are enough to tell one from the next
	passwordAt second
	factorAt   second
	idleUntil  second
	until      second
	idle       uint32 // length of the idle limit in seconds
	amr        AMR
	kind       Kind
	flags      uint8
}

const (
	flagPortal uint8 = 1 << iota
	flagRemember
	flagUsed // the place in the table is taken
)

const (
	shards    = 256
	minPlaces = 16
)

// index finds entries by key. Keys are halves of hashes that nobody can choose,
// so their bytes serve as they are for shard and place, and no stranger can make
// chains long. Each shard grows by itself, a quarter at a time: with a million
// sessions that moves some thousand entries at once, not all.
type index struct {
	people *people
	shards [shards]shard
}

// shard is an open-addressing table with entries in place: to find one costs a
// single visit to memory.
type shard struct {
	mu         sync.RWMutex
	generation uint64 // raised by every commit that concerns a key of this shard
	table      []entry
	used       int
	_          [64]byte // shards do not share cache lines
}

func (x *index) shard(key name) *shard { return &x.shards[key[0]] }

// home is the place of a key in a table of n where search begins.
func home(key *name, n int) int {
	return int(uint64(binary.LittleEndian.Uint32(key[4:8])) * uint64(n) >> 32)
}

// find returns the place of a key, or -1.
func (s *shard) find(key name) int {
	n := len(s.table)
	if n == 0 {
		return -1
	}
	for i := home(&key, n); ; {
		e := &s.table[i]
		if e.key == key && e.flags&flagUsed != 0 {
			return i
		}
		if e.flags&flagUsed == 0 {
			return -1
		}
		if i++; i == n {
			i = 0
		}
	}
}

// get copies an entry and reads its principal's identity, nil if that is gone.
// Both belong together: a slot of people is not given to somebody else while an
// entry points to it, and entries do not change under the lock.
func (x *index) get(key name) (e entry, who *account.Identity, ok bool) {
	s := x.shard(key)
	s.mu.RLock()
	if i := s.find(key); i >= 0 {
		e = s.table[i]
		who, ok = x.people.get(e.person), true
	}
	s.mu.RUnlock()
	return e, who, ok
}

// generation is to be read before a View whose outcome goes to insert.
func (x *index) generation(key name) uint64 {
	s := x.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.generation
}

// insert adds an entry, or answers false when a commit concerned the key or the
// principal since the generations were read: what was loaded may be old.
func (x *index) insert(e entry, who *account.Identity, generation uint64, people *generations) bool {
	s := x.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation {
		return false
	}
	slot, ok := x.people.acquire(who, people)
	if !ok {
		return false
	}
	e.person = slot
	if i := s.find(e.key); i >= 0 {
		x.people.release(s.table[i].person)
		e.flags |= flagUsed
		s.table[i] = e
		return true
	}
	s.add(e)
	return true
}

func (s *shard) add(e entry) {
	if n := len(s.table); 5*(s.used+1) > 4*n { // at most four fifths full
		s.resize(max(minPlaces, n+n/4))
	}
	s.put(e)
	s.used++
}

func (s *shard) put(e entry) {
	i := home(&e.key, len(s.table))
	for s.table[i].flags&flagUsed != 0 {
		if i++; i == len(s.table) {
			i = 0
		}
	}
	e.flags |= flagUsed
	s.table[i] = e
}

func (s *shard) resize(n int) {
	old := s.table
	s.table = make([]entry, n)
	for i := range old {
		if old[i].flags&flagUsed != 0 {
			s.put(old[i])
		}
	}
}

// remove empties a place and moves back what stood behind it for lack of room, so
// that no tombstones are left.
func (x *index) remove(s *shard, hole int) {
	x.people.release(s.table[hole].person)
	s.used--
	n := len(s.table)
	behind := func(from, to int) int { return (to - from + n) % n }
	for j := (hole + 1) % n; s.table[j].flags&flagUsed != 0; j = (j + 1) % n {
		if behind(home(&s.table[j].key, n), j) >= behind(hole, j) {
			s.table[hole] = s.table[j]
			hole = j
		}
	}
	s.table[hole] = entry{}
	if n > minPlaces && 4*s.used < n {
		s.resize(max(minPlaces, n/2))
	}
}

// forget drops a key; loads that began before will not bring it back.
func (x *index) forget(key name) {
	s := x.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	if i := s.find(key); i >= 0 {
		x.remove(s, i)
	}
}

// drop removes a key that turned out to be dead. Loads that are under way may
// bring it back; they ask the store.
func (x *index) drop(key name) {
	s := x.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(key); i >= 0 {
		x.remove(s, i)
	}
}

// change takes over what a commit wrote, if the key is known.
func (x *index) change(key name, fn func(*entry)) {
	s := x.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	if i := s.find(key); i >= 0 {
		fn(&s.table[i])
	}
}

// slide moves the idle limit of a known key forward and answers whether it did.
func (x *index) slide(key name, idleUntil second) bool {
	s := x.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(key)
	if i < 0 {
		return false
	}
	e := &s.table[i]
	if e.idleUntil >= idleUntil {
		return false
	}
	e.idleUntil = idleUntil
	return true
}

// sweep drops from one shard what has expired and returns the sessions.
func (x *index) sweep(n int, now second) (ended []name) {
	s := &x.shards[n]
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []name
	for i := range s.table {
		if e := &s.table[i]; e.flags&flagUsed != 0 && e.expired(now) {
			keys, ended = append(keys, e.key), append(ended, e.id)
		}
	}
	for _, key := range keys {
		x.remove(s, s.find(key))
	}
	return ended
}

func (e *entry) expired(now second) bool { return now >= e.until || now >= e.idleUntil }

// len counts the entries.
func (x *index) len() (n int) {
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.RLock()
		n += s.used
		s.mu.RUnlock()
	}
	return n
}
