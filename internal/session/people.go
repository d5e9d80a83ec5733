package session

import (
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"unique"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
)

const blockSize = 256

type block [blockSize]atomic.Pointer[account.Identity]

// generations count the commits that concerned principals, by the last bits of
// their ids.
type generations [64]uint64

// people holds the identities of all principals with an entry in the index, once
// each. An identity is replaced as a whole when the user's record changes and is
// never written to, so that readers need no lock.
type people struct {
	table atomic.Pointer[[]*block] // a longer copy takes its place; blocks never move

	mu          sync.Mutex
	generations generations
	slots       map[principal.ID]uint32
	ids         []principal.ID
	refs        []uint32 // entries that point to a slot
	free        []uint32
}

func newPeople() *people {
	p := &people{slots: map[principal.ID]uint32{}}
	p.table.Store(&[]*block{})
	return p
}

// get returns the identity of a slot that an entry points to; nil: deleted.
func (p *people) get(slot uint32) *account.Identity {
	return (*p.table.Load())[slot/blockSize][slot%blockSize].Load()
}

func (p *people) cell(slot uint32) *atomic.Pointer[account.Identity] {
	return &(*p.table.Load())[slot/blockSize][slot%blockSize]
}

// now is to be read before a View whose outcome goes to acquire.
func (p *people) now() generations {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generations
}

// unchanged reports whether no commit has concerned a principal since loaded was
// read, as far as this process has heard.
func (p *people) unchanged(id principal.ID, loaded *generations) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := generationOf(id)
	return p.generations[g] == loaded[g]
}

func generationOf(id principal.ID) int { return int(id[15]) % len(generations{}) }

// acquire counts one more entry of a principal. Who is known already stays as
// known: commits keep that exact. Who is not known is refused when a commit may
// have made what was loaded old.
func (p *people) acquire(who *account.Identity, loaded *generations) (slot uint32, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slot, ok := p.slots[who.ID]; ok {
		p.refs[slot]++
		return slot, true
	}
	if g := generationOf(who.ID); p.generations[g] != loaded[g] {
		return 0, false
	}
	slot = p.newSlot()
	p.slots[who.ID] = slot
	p.ids[slot], p.refs[slot] = who.ID, 1
	p.cell(slot).Store(compact(who))
	return slot, true
}

func (p *people) newSlot() uint32 {
	if last := len(p.free) - 1; last >= 0 {
		slot := p.free[last]
		p.free = p.free[:last]
		return slot
	}
	slot := uint32(len(p.ids))
	p.ids, p.refs = append(p.ids, principal.ID{}), append(p.refs, 0)
	if table := *p.table.Load(); int(slot/blockSize) == len(table) {
		longer := append(table[:len(table):len(table)], new(block))
		p.table.Store(&longer)
	}
	return slot
}

// release counts one entry less; with the last one the slot is free. The caller
// holds the lock of the entry's shard, so that nobody reads through the entry.
func (p *people) release(slot uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refs[slot]--; p.refs[slot] > 0 {
		return
	}
	delete(p.slots, p.ids[slot])
	p.ids[slot] = principal.ID{}
	p.cell(slot).Store(nil)
	p.free = append(p.free, slot)
}

// changed takes over what a commit wrote (nil: the record is gone) and answers
// whether it says anything new; that a login was noted is nothing new.
func (p *people) changed(id principal.ID, who *account.Identity) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	slot, known := p.slots[id]
	if known && who != nil && same(p.cell(slot).Load(), who) {
		return false
	}
	p.generations[generationOf(id)]++
	if known {
		if who != nil {
			who = compact(who)
		}
		p.cell(slot).Store(who)
	}
	return true
}

func same(a, b *account.Identity) bool {
	if a == nil || !slices.Equal(a.Groups, b.Groups) {
		return false
	}
	x, y := *a, *b
	x.Groups, y.Groups = nil, nil
	return reflect.DeepEqual(x, y)
}

// compact shares the words that many identities have in common.
func compact(who *account.Identity) *account.Identity {
	c := *who
	c.Realm = unique.Make(who.Realm).Value()
	c.Groups = make([]string, len(who.Groups))
	for i, g := range who.Groups {
		c.Groups[i] = unique.Make(g).Value()
	}
	return &c
}
