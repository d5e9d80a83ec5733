package command

import (
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/command/importing"
	"github.com/sallyport-auth/sallyport/internal/principal"
)

// spellings are the one spelling of a user and of the address. What cannot be
// one is empty: the server says why.
func (i *importer) spellings(e *importing.Entry) (user, address string) {
	realm, err := principal.CanonicalRealm(e.Realm)
	if err != nil {
		return "", ""
	}
	name := e.Name
	if !i.exactIn(realm) {
		if name, err = principal.CanonicalName(name); err != nil {
			return "", ""
		}
	}
	if a, err := principal.CanonicalAddress(e.Email); err == nil && e.Email != "" {
		address = realm + " " + a
	}
	return name + "@" + realm, address
}

// exactIn reports whether names of a realm are what they are written like. Realms that
// come into being with programs of ungleich are so.
func (i *importer) exactIn(realm string) bool {
	exact, known := i.exact[realm]
	return exact || !known && i.flags.from == importing.Ungleich
}

// rename finds the name of somebody who signed in by address: the one of whoever has
// the address here, so that a second run does no harm, or else the derived one where
// that is nobody's.
func (i *importer) rename(e *importing.Entry, n *candidate) error {
	if e.Other == "" || n.address == "" {
		return nil
	}
	realm, address, _ := strings.Cut(n.address, " ")
	owner, err := i.c.ownerOf(realm, address)
	if err != nil {
		return err
	}
	switch {
	case owner != "":
		e.Name = owner
	default:
		taken := i.users[n.user] != ""
		if !taken {
			taken, err = i.c.exists(principal.Ref{Name: e.Name, Realm: realm})
		}
		if err != nil {
			return err
		}
		if taken {
			e.Name = e.Other
		}
	}
	n.user, _ = i.spellings(e)
	return nil
}

// ownerOf is the name of whoever has an address; empty: nobody.
func (c *client) ownerOf(realm, address string) (string, error) {
	users, err := c.users(realm, address)
	if refused(err, "unknown_realm") {
		return "", nil
	}
	for _, u := range users {
		if u.Email == address {
			return u.Name, nil
		}
	}
	return "", err
}

// exists reports whether a name is that of a user.
func (c *client) exists(ref principal.Ref) (bool, error) {
	err := c.call(http.MethodGet, userPath(ref), nil, nil)
	if refused(err, "unknown_user") || refused(err, "unknown_realm") {
		return false, nil
	}
	return err == nil, err
}

// privileged refuses an entry of an older system whose realm, which nobody chose for
// it here, has capabilities: there it was a name like any other.
func (i *importer) privileged(e *importing.Entry) *importing.Refusal {
	realm, err := principal.CanonicalRealm(e.Realm)
	switch {
	case err != nil:
		return nil
	case realm == adminRealm || realm == authRealm || i.mighty[realm]:
		return &importing.Refusal{Code: "reserved", Message: "members of the realm " + realm + " have rights here that they did not have there: bring this one with --realm and a realm, or add it with `" + kindOf(e.Service != nil) + " add`"}
	}
	return nil
}
