package session

// missed lets go of all that is known in memory: changes of other nodes can no
// longer be told one by one (store.Change.All). What is asked for next comes from
// the store.
func (r *Registry) missed() {
	r.index.forgetAll()
	r.keys.forget()
	r.ends.all()
}

// forgetAll drops all keys at once; loads that began before will not bring them
// back. All shards are locked together: else a key that comes back to one of them
// could meet an identity that another still holds.
func (x *index) forgetAll() {
	for i := range x.shards {
		x.shards[i].mu.Lock()
	}
	for i := range x.shards {
		s := &x.shards[i]
		s.generation++
		for j := range s.table {
			if e := &s.table[j]; e.flags&flagUsed != 0 {
				x.people.release(e.person)
			}
		}
		s.table, s.used = nil, 0
	}
	x.people.forgetLoads()
	for i := range x.shards {
		x.shards[i].mu.Unlock()
	}
}

// forgetLoads makes what was loaded until now count as old.
func (p *people) forgetLoads() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.generations {
		p.generations[i]++
	}
}

// all: any session may have ended, and any principal may have changed.
func (e *ends) all() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, streams := range e.byID {
		for s := range streams {
			e.enqueue(s, true)
		}
	}
}
