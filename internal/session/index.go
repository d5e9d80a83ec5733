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
)

const (
	shards    = 256
	chunkSize = 64 // entries; 4 KiB
	minSlots  = 16
)

// index finds entries by key. Keys are halves of hashes that nobody can choose,
// so their bytes serve as they are for shard and slot, and no stranger can make
// chains long. Each shard grows by itself, in steps that stay short: entries lie
// in chunks that never move, only eight bytes per slot are written anew.
type index struct {
	people *people
	shards [shards]shard
}

// shard is an open-addressing table. A slot holds 32 bits of the key and the
// number of an entry plus one; 0 is empty.
type shard struct {
	mu         sync.RWMutex
	generation uint64 // raised by every commit that concerns a key of this shard
	slots      []uint64
	used       int
	chunks     []*[chunkSize]entry
	next       uint32   // the first entry never used
	free       []uint32 // entries given back
	_          [64]byte // shards do not share cache lines
}

func (x *index) shard(key name) *shard { return &x.shards[key[0]] }

func fingerprint(key name) uint32 { return binary.LittleEndian.Uint32(key[4:8]) }

func (s *shard) entry(n uint32) *entry { return &s.chunks[n/chunkSize][n%chunkSize] }

// find returns the slot of a key, or -1.
func (s *shard) find(key name) int {
	if len(s.slots) == 0 {
		return -1
	}
	print := fingerprint(key)
	mask := uint32(len(s.slots) - 1)
	for i := print & mask; ; i = (i + 1) & mask {
		slot := s.slots[i]
		if slot == 0 {
			return -1
		}
		if uint32(slot>>32) == print && s.entry(uint32(slot)-1).key == key {
			return int(i)
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
		e = *s.entry(uint32(s.slots[i]) - 1)
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
		old := s.entry(uint32(s.slots[i]) - 1)
		x.people.release(old.person)
		*old = e
		return true
	}
	s.add(e)
	return true
}

func (s *shard) add(e entry) {
	if 4*(s.used+1) > 3*len(s.slots) {
		s.resize(max(minSlots, 2*len(s.slots)))
	}
	n := s.next
	if last := len(s.free) - 1; last >= 0 {
		n, s.free = s.free[last], s.free[:last]
	} else {
		s.next++
		if int(n/chunkSize) == len(s.chunks) {
			s.chunks = append(s.chunks, new([chunkSize]entry))
		}
	}
	*s.entry(n) = e
	s.put(uint64(fingerprint(e.key))<<32 | uint64(n+1))
	s.used++
}

func (s *shard) put(slot uint64) {
	mask := uint32(len(s.slots) - 1)
	i := uint32(slot>>32) & mask
	for s.slots[i] != 0 {
		i = (i + 1) & mask
	}
	s.slots[i] = slot
}

func (s *shard) resize(n int) {
	old := s.slots
	s.slots = make([]uint64, n)
	for _, slot := range old {
		if slot != 0 {
			s.put(slot)
		}
	}
}

// remove empties slot i and moves back what stood behind it for lack of room, so
// that no tombstones are left.
func (x *index) remove(s *shard, i int) {
	n := uint32(s.slots[i]) - 1
	x.people.release(s.entry(n).person)
	*s.entry(n) = entry{}
	s.free = append(s.free, n)
	s.used--
	mask := len(s.slots) - 1
	hole := i
	s.slots[hole] = 0
	for j := (i + 1) & mask; s.slots[j] != 0; j = (j + 1) & mask {
		home := int(uint32(s.slots[j]>>32)) & mask
		if (j-home)&mask >= (j-hole)&mask {
			s.slots[hole], s.slots[j] = s.slots[j], 0
			hole = j
		}
	}
	if len(s.slots) > minSlots && 8*s.used < len(s.slots) {
		s.resize(len(s.slots) / 2)
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
		fn(s.entry(uint32(s.slots[i]) - 1))
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
	e := s.entry(uint32(s.slots[i]) - 1)
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
	for _, slot := range s.slots {
		if slot == 0 {
			continue
		}
		if e := s.entry(uint32(slot) - 1); e.expired(now) {
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
