package account

import (
	"net/netip"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
)

type actorKind uint8

const (
	nobody actorKind = iota
	local
	self
	person
	system
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
}

// Local is the command line on the server's machine: it may do everything.
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

// From returns the actor with what events say about where it acts from.
func (a Actor) From(client netip.Addr, session string) Actor {
	a.client, a.session = client, session
	return a
}
