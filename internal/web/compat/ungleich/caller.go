package ungleich

import (
	"context"
	"errors"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// capabilities are what a service of a realm may do here, the table of the original.
func (f *Facade) capabilities(realm string) []account.Grant {
	switch realm {
	case f.admin:
		return []account.Grant{{Capability: account.Authenticate}, {Capability: account.Create}, {Capability: account.Delete},
			{Capability: account.List}, {Capability: account.Update}}
	case f.auth:
		return []account.Grant{{Capability: account.Authenticate}}
	}
	return nil
}

func (f *Facade) may(who *account.Identity, c account.Capability) bool {
	return slices.ContainsFunc(f.capabilities(who.Realm), func(g account.Grant) bool { return g.Capability == c })
}

// permit refuses a caller without a capability.
func (f *Facade) permit(c *call, who *account.Identity, capability account.Capability) error {
	if f.may(who, capability) {
		return nil
	}
	f.noteForbidden(c, who)
	return account.ErrForbidden
}

// noteForbidden notes that somebody who is known wanted more than they may.
func (f *Facade) noteForbidden(c *call, who *account.Identity) {
	f.rooms.Audit.Note(audit.Event{Time: f.rooms.Clock(), Kind: audit.KindToken, Outcome: audit.Denied, Cause: "forbidden",
		Principal: who.ID, Name: nameOf(who), Client: c.client.Addr, Method: facadeName})
}

func nameOf(who *account.Identity) string {
	return principal.Ref{Name: who.Name, Realm: who.Realm}.String()
}

// actor is the facade, acting for a caller with what that caller may do.
func (f *Facade) actor(c *call, who *account.Identity, grants []account.Grant) account.Actor {
	return account.Facade(facadeName, grants...).As(principal.Ref{Name: who.Name, Realm: who.Realm}).Closed(f.shut).From(c.client.Addr, "")
}

// shut reports whether a realm is closed to the facade. Its own three never are: who
// lets their members in somewhere has named them.
func (f *Facade) shut(realm string) bool {
	return f.closed != nil && !slices.Contains(f.own(), realm) && f.closed(realm)
}

// prove says whose token it is. A wrong one counts. Errors: login.ErrDenied,
// *throttle.Throttled; others: the store failed.
func (f *Facade) prove(c *call, name, realm, token string) (*account.Identity, error) {
	ref, err := f.spell(c.Context(), name, realm)
	if err != nil {
		return nil, err
	}
	return f.rooms.Programs.Program(c.Context(), ref, digits(token), c.client.Addr)
}

// still is the record of the caller in the transaction that decides.
func (f *Facade) still(tx store.Tx, who *account.Identity) (*account.Service, error) {
	s, err := f.rooms.Directory.Still(tx, who)
	if errors.Is(err, account.ErrForbidden) {
		err = login.ErrDenied
	}
	return s, err
}

// spell is the one spelling of a name. What can be nobody's stays as it is: it has no
// other.
func (f *Facade) spell(ctx context.Context, name, realm string) (ref principal.Ref, err error) {
	if c, err := principal.CanonicalRealm(realm); err == nil && c == realm && account.SpelledAlike(name) {
		return principal.Ref{Name: name, Realm: realm}, nil
	}
	err = f.rooms.Store.View(ctx, func(tx store.Tx) (err error) {
		ref, _, err = f.spelled(tx, name, realm)
		return err
	})
	return ref, err
}

// spelled is spell in a transaction. somebody: it can be somebody's.
func (f *Facade) spelled(tx store.Tx, name, realm string) (ref principal.Ref, somebody bool, err error) {
	ref, err = f.rooms.Directory.Ref(tx, name, realm)
	if errors.Is(err, account.ErrInvalid) {
		if ref.Realm == "" {
			ref.Realm = realm
		}
		return principal.Ref{Name: name, Realm: ref.Realm}, false, nil
	}
	return ref, err == nil, err
}

// subject is whom a call asks about.
type subject struct{ name, realm, token string }

// ask answers whether a subject's token is good, in one Update. may looks at the
// caller's record of that moment; nil: it needs no look.
// Errors: login.ErrDenied, if the caller is gone; those of may; others: the store failed.
func (f *Facade) ask(c *call, who *account.Identity, about subject, may func(*account.Service) error) (good bool, err error) {
	err = f.rooms.Store.Update(c.Context(), func(tx store.Tx) error {
		good = false
		s, err := f.still(tx, who)
		if err == nil && may != nil {
			err = may(s)
		}
		if err != nil {
			return err
		}
		ref, somebody, err := f.spelled(tx, about.name, about.realm)
		if err != nil {
			return err
		}
		q := login.Asking{Caller: who.ID.String(), Actor: nameOf(who), Client: c.client.Addr, Ref: ref, Token: digits(about.token), Facade: &f.rules}
		if !somebody {
			return f.rooms.Programs.Nobody(tx, q, nil, "")
		}
		good, err = f.rooms.Programs.Verify(tx, q)
		return err
	})
	return good && err == nil, err
}
