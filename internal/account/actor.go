package account

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

type actorKind uint8

const (
	nobody actorKind = iota
	local
	self
	person
	program
	system
	facade
)

// Actor is who changes something. The zero Actor is nobody and may do nothing.
type Actor struct {
	kind     actorKind
	id       principal.ID
	name     string
	factors  int
	factorAt time.Time
	client   netip.Addr
	session  string
	ref      principal.Ref // of a program
	epoch    uint64        // likewise
	over     []Grant       // of a facade
	behalf   string        // likewise: whose call it is

	aside       bool                    // see Aside
	behalfRealm string                  // likewise
	closed      func(realm string) bool // likewise: see Closed; nil: none
}

// Local is the command line on the server's machine: it may do everything, even
// remove the last administrator, because there a setup link can make another one.
func Local() Actor { return Actor{kind: local} }

// System is the program itself, in a step whose right it has checked (setup,
// invitation, the outbox). It may do what Local may, but not remove the last
// administrator.
func System(name string) Actor { return Actor{kind: system, name: name} }

// Self is a person who changes the own record. That the person is who they say,
// and freshly so, the caller has checked.
func Self(id principal.ID) Actor { return Actor{kind: self, id: id} }

// Person is a person who acts on others by the capabilities of their realm.
// factors counts the real factors of the session (a trusted browser is none),
// factorAt is when the second was proved last, zero: never.
func Person(id principal.ID, factors int, factorAt time.Time) Actor {
	return Actor{kind: person, id: id, factors: factors, factorAt: factorAt}
}

// Program is a service that acts by the capabilities of its realm. It has proved
// itself, with an epoch that must still be its own at the change.
func Program(who *Identity) Actor {
	if who == nil || who.Kind != principal.Service {
		return Actor{}
	}
	return Actor{kind: program, id: who.ID, ref: principal.Ref{Name: who.Name, Realm: who.Realm}, epoch: who.Epoch}
}

// Facade is a facade of an older system (compat), whose callers were judged by that
// system's rules: it may do what grants say, but nothing to a realm that has
// capabilities here, unless its caller is of that realm (see As); and there only to
// what was created through it. name is the facade's.
func Facade(name string, grants ...Grant) Actor {
	return Actor{kind: facade, name: name, over: grants}
}

// facade is the name of the facade that acts, "" for everybody else.
func (a Actor) facade() string {
	if a.kind == facade {
		return a.name
	}
	return ""
}

// Closed returns the actor of a facade with realms in which it makes and touches
// nothing but what was created through it: those whose members the gateway itself
// lets in somewhere.
func (a Actor) Closed(realms func(string) bool) Actor {
	a.closed = realms
	return a
}

// shut reports whether a realm is closed to the actor.
func (a Actor) shut(realm string) bool { return a.closed != nil && a.closed(realm) }

// As returns the actor with whom events name, for a facade that acts on behalf of a
// caller of its own.
func (a Actor) As(caller principal.Ref) Actor {
	a.behalf, a.behalfRealm = caller.String(), caller.Realm
	return a
}

// From returns the actor with what events say about where it acts from, and with
// the session that must live at the change: see SetLiving.
func (a Actor) From(client netip.Addr, session string) Actor {
	a.client, a.session = client, session
	return a
}

// Aside returns the actor with events of which their persons are told nothing by
// themselves (audit.Event.Aside): for steps of what is told as a whole, and for
// imports, of which nobody could know.
func (a Actor) Aside() Actor {
	a.aside = true
	return a
}

// rights are what an actor may do, read in the transaction that uses them.
type rights struct {
	actor  Actor
	name   string   // for events
	all    bool     // local and system: everything
	realm  string   // the principal's own
	groups []string // the person's own
	grants []Grant  // of the principal's realm

	within map[string][]Grant // what services of realms may do within a facade
}

// rights reads them. Errors: ErrForbidden for nobody, and for a principal who is
// unknown or disabled; those of Alive.
func (d *Directory) rights(tx store.Tx, a Actor) (rights, error) {
	if err := d.Alive(tx, a); err != nil {
		return rights{}, err
	}
	return d.rightsOf(tx, a)
}

// rightsOf is rights after a change that may have ended the actor's own session.
func (d *Directory) rightsOf(tx store.Tx, a Actor) (rights, error) {
	switch a.kind {
	case local:
		return rights{actor: a, name: "local", all: true}, nil
	case system:
		return rights{actor: a, name: a.name, all: true}, nil
	case self:
		return rights{actor: a}, nil
	case person:
		u, err := d.ByID(tx, a.id)
		if errors.Is(err, ErrUnknownUser) || err == nil && u.Disabled {
			return rights{}, ErrForbidden
		}
		if err != nil {
			return rights{}, err
		}
		r, err := loadRealm(tx, u.Realm)
		if err != nil {
			return rights{}, err
		}
		return rights{actor: a, name: u.Ref().String(), realm: u.Realm, groups: u.Groups, grants: r.Grants, within: d.capable}, nil
	case facade:
		name := "compat " + a.name
		if a.behalf != "" {
			name += " " + a.behalf
		}
		return rights{actor: a, name: name, grants: a.over}, nil
	case program:
		return d.rightsOfProgram(tx, a)
	}
	return rights{}, ErrForbidden
}

// rightsOfProgram: one that was disabled, rotated, deleted or replaced since it
// proved itself may do nothing.
func (d *Directory) rightsOfProgram(tx store.Tx, a Actor) (rights, error) {
	s, err := d.Still(tx, &Identity{ID: a.id, Kind: principal.Service, Name: a.ref.Name, Realm: a.ref.Realm, Epoch: a.epoch})
	if err != nil {
		return rights{}, err
	}
	r, err := loadRealm(tx, s.Realm)
	if err != nil {
		return rights{}, err
	}
	return rights{actor: a, name: s.Ref().String(), realm: s.Realm, grants: r.Grants, within: d.capable}, nil
}

// over demands a capability over a realm, and proof enough to use it.
//
// To change principals of a realm is to become one of them: whoever sets a
// password can log in with it. So changes, and only they, also demand every
// capability that the realm's own members have.
func (r rights) over(tx store.Tx, c Capability, realm string) error {
	if r.all {
		return nil
	}
	if !r.holds(c, realm) {
		return refuse(ErrForbidden, "this needs the capability %s over the realm %s", c, realm)
	}
	if c != List && c != Authenticate || r.actor.kind == facade {
		target, err := loadRealm(tx, realm)
		if err != nil && !errors.Is(err, ErrUnknownRealm) {
			return err
		}
		if err := r.reachesAll(c, realm, target); err != nil {
			return err
		}
	}
	return r.proved(tx, c)
}

// proved demands of a person two real factors, and for changes that the second is
// fresh. A program proves with each call all that it can.
func (r rights) proved(tx store.Tx, c Capability) error {
	if r.actor.kind == program || r.actor.kind == facade {
		return nil
	}
	now, at := tx.Now(), r.actor.factorAt
	if r.actor.factors < 2 || at.IsZero() {
		return refuse(ErrNotFresh, "capabilities count only after two factors")
	}
	if c == List || c == Authenticate {
		return nil
	}
	// A clock that was set back must not keep a factor fresh.
	if now.Sub(at) > Fresh || at.Sub(now) > Fresh {
		return refuse(ErrNotFresh, "changes need a factor that is at most 15 minutes old")
	}
	return nil
}

// reachesAll refuses changes of principals who may do more than the actor. target is
// nil for a realm that is still to be made.
func (r rights) reachesAll(c Capability, name string, target *Realm) error {
	var grants []Grant
	if target != nil {
		grants = target.Grants
	}
	if r.actor.kind != facade {
		return cmp.Or(r.exceeds(grants), r.exceeds(r.within[name]))
	}
	// Its own administrators hand out what their own realm has here, and no more.
	switch {
	case len(grants) > 0 && r.actor.behalfRealm != name:
		return refuse(ErrForbidden, "the realm %s has capabilities of its own, which no facade hands out", name)
	case c == Create && r.actor.shut(name):
		return refuse(ErrForbidden, "members of the realm %s are let in by a rule, which no facade decides", name)
	}
	return nil
}

// everywhere demands a capability over all realms.
func (r rights) everywhere(c Capability) error {
	for _, g := range r.grants {
		if g.Capability == c && len(g.Realms) == 0 {
			return nil
		}
	}
	if r.all {
		return nil
	}
	return refuse(ErrForbidden, "this needs the capability %s over all realms", c)
}

// exceeds refuses grants of which one is more than the actor has.
func (r rights) exceeds(grants []Grant) error {
	if r.all {
		return nil
	}
	for _, g := range grants {
		if len(g.Realms) == 0 && r.everywhere(g.Capability) != nil {
			return refuse(ErrForbidden, "that would reach beyond your own capabilities: you do not have %s over all realms", g.Capability)
		}
		for _, realm := range g.Realms {
			if !r.holds(g.Capability, realm) {
				return refuse(ErrForbidden, "that would reach beyond your own capabilities: you do not have %s over the realm %s", g.Capability, realm)
			}
		}
	}
	return nil
}

func (r rights) holds(c Capability, realm string) bool {
	for _, g := range r.grants {
		if g.Capability == c && (len(g.Realms) == 0 || slices.Contains(g.Realms, realm)) {
			return true
		}
	}
	return r.all
}

// mayGive refuses groups that a delegate (whose realm is not admin) does not
// belong to: rules admit by group. A service belongs to none.
func (r rights) mayGive(groups []string) error {
	if r.all || r.realm == AdminRealm {
		return nil
	}
	for _, g := range groups {
		if !slices.Contains(r.groups, g) {
			return refuse(ErrForbidden, "you may give only groups that you belong to")
		}
	}
	return nil
}

// Allowed checks a capability over a realm, for calls that only read: changing
// methods check by themselves. List and Authenticate need two factors, the others
// a fresh one. Errors: ErrForbidden, ErrNotFresh.
func (d *Directory) Allowed(tx store.Tx, a Actor, c Capability, realm string) error {
	r, err := d.rights(tx, a)
	if err != nil {
		return err
	}
	return r.over(tx, c, realm)
}

// record writes an event of a change that was made.
func (d *Directory) record(tx store.Tx, r rights, e audit.Event) error {
	if d.audit == nil {
		return nil
	}
	e.Outcome = audit.OK
	e.Actor, e.Client, e.Session = r.name, r.actor.client, r.actor.session
	e.Aside = e.Aside || r.actor.aside
	return d.audit.Record(tx, e)
}
