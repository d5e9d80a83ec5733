package account

import (
	"maps"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Capability is what the members of a realm may do to others.
type Capability string

const (
	Authenticate Capability = "authenticate" // ask whether somebody's token is good
	Create       Capability = "create"
	Delete       Capability = "delete"
	List         Capability = "list"
	Update       Capability = "update"
)

// Grant is one capability of a realm's members.
type Grant struct {
	Capability Capability `json:"capability"`
	Realms     []string   `json:"realms,omitempty"` // over these; empty: all
}

func setGrants(tx store.Tx, rights rights, r *Realm, grants []Grant) error {
	canonical, err := canonicalGrants(grants)
	if err != nil {
		return err
	}
	if fixed, ok := fixedGrants(r.Name); ok {
		if !slices.EqualFunc(canonical, fixed, equalGrant) {
			return refuse(ErrReserved, "the capabilities of the realm %s are fixed", r.Name)
		}
		return nil
	}
	if err := rights.everywhere(Update); err != nil {
		return err
	}
	if err := rights.exceeds(canonical); err != nil {
		return err
	}
	r.Grants = canonical
	return nil
}

// fixedGrants are the capabilities of the two realms whose capabilities never change.
func fixedGrants(realm string) (grants []Grant, fixed bool) {
	switch realm {
	case AdminRealm:
		return []Grant{{Capability: Authenticate}, {Capability: Create}, {Capability: Delete}, {Capability: List}, {Capability: Update}}, true
	case AuthRealm:
		return []Grant{{Capability: Authenticate}}, true
	}
	return nil, false
}

// canonicalGrants returns one grant per capability, in order, with sorted realms.
func canonicalGrants(grants []Grant) ([]Grant, error) {
	merged := map[Capability]Grant{}
	for _, g := range grants {
		if !slices.Contains([]Capability{Authenticate, Create, Delete, List, Update}, g.Capability) {
			return nil, refuse(ErrInvalid, "%.32q is not a capability: authenticate, create, delete, list and update are", string(g.Capability))
		}
		old, twice := merged[g.Capability]
		if twice && (len(old.Realms) == 0 || len(g.Realms) == 0) {
			merged[g.Capability] = Grant{Capability: g.Capability}
			continue
		}
		for _, name := range g.Realms {
			realm, err := principal.CanonicalRealm(name)
			if err != nil {
				return nil, refuse(ErrInvalid, "%v", err)
			}
			old.Realms = append(old.Realms, realm)
		}
		slices.Sort(old.Realms)
		merged[g.Capability] = Grant{Capability: g.Capability, Realms: slices.Compact(old.Realms)}
	}
	result := make([]Grant, 0, len(merged))
	for _, c := range slices.Sorted(maps.Keys(merged)) {
		result = append(result, merged[c])
	}
	return result, nil
}

func equalGrant(a, b Grant) bool {
	return a.Capability == b.Capability && slices.Equal(a.Realms, b.Realms)
}

// revoke takes a realm that is gone out of all grants: who makes another one of its
// name shall not find that others have rights over it. A grant over nothing else
// goes too; it would mean all realms.
func revoke(tx store.Tx, gone string) error {
	for item, err := range tx.Scan(store.KPrefix(store.PrefixAccount, keyRealm), nil) {
		if err != nil {
			return err
		}
		r, err := store.Decode[Realm](item.Value)
		if err != nil {
			return err
		}
		var kept []Grant
		changed := false
		for _, g := range r.Grants {
			if !slices.Contains(g.Realms, gone) {
				kept = append(kept, g)
				continue
			}
			changed = true
			if g.Realms = slices.DeleteFunc(slices.Clone(g.Realms), func(name string) bool { return name == gone }); len(g.Realms) > 0 {
				kept = append(kept, g)
			}
		}
		if !changed {
			continue
		}
		r.Grants = kept
		r.Version++
		if err := saveRealm(tx, r); err != nil {
			return err
		}
	}
	return nil
}
