package account

import (
	"errors"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// maxDomains bounds the domains of a Registration.
const maxDomains = 64

// Registered is the name of the actor (see System) who makes the accounts that people
// register by themselves.
const Registered = "registration"

// ErrRegistrationClosed: nobody makes an account for himself in this realm.
var ErrRegistrationClosed = errors.New("nobody registers here: ask your administrator for an account")

// ErrDomain: the realm takes addresses of other domains only.
var ErrDomain = errors.New("addresses of this domain do not register here")

func (r Registration) validate(realm string) error {
	if _, fixed := fixedGrants(realm); fixed {
		return refuse(ErrInvalid, "registration is not for the realm %s, whose members have capabilities", realm)
	}
	if len(r.Domains) > maxDomains {
		return refuse(ErrInvalid, "registration: at most %d domains are allowed", maxDomains)
	}
	for i, domain := range r.Domains {
		canonical, err := canonicalDomain(domain)
		switch {
		case err != nil:
			return err
		case canonical != domain:
			return refuse(ErrInvalid, "registration: the domain %.64q is written %.64q", domain, canonical)
		case slices.Contains(r.Domains[:i], domain):
			return refuse(ErrInvalid, "registration names the domain %.64q twice", domain)
		}
	}
	return nil
}

// canonicalDomain is the one spelling of what stands behind the @ of addresses.
func canonicalDomain(domain string) (string, error) {
	address, err := principal.CanonicalAddress("x@" + domain)
	if err != nil || strings.ContainsAny(domain, "@*") {
		return "", refuse(ErrInvalid, "registration: %.64q is no domain of addresses, such as example.com", domain)
	}
	return address[strings.LastIndexByte(address, '@')+1:], nil
}

// Registers refuses settings of a configuration with which a realm lets people register
// who could then not sign in. Errors: ErrInvalid.
func (s Settings) Registers(realm string) error {
	return (&Directory{}).mayRegister(Realm{Name: realm, Settings: DefaultSettings(realm).over(s)})
}

// mayRegister refuses a realm with all that holds for it where registration would let
// strangers do something to others, or let in nobody.
func (d *Directory) mayRegister(r Realm) error {
	if r.Registration == nil {
		return nil
	}
	if len(r.Grants) > 0 || len(d.capable[r.Name]) > 0 {
		return refuse(ErrInvalid, "registration and capabilities exclude each other: whoever registers in the realm %s would have them", r.Name)
	}
	if r.Demanded() >= 2 && r.Enrollment != EnrollFirstLogin {
		return refuse(ErrInvalid, "registration needs enrollment %s where two factors are demanded: with %s nobody who registers in the realm %s could sign in", EnrollFirstLogin, r.Enrollment, r.Name)
	}
	return nil
}

// MayRegister says whether whoever reads an address may make an account with it in a
// realm, and returns realm and address in their one spelling. It depends on settings
// alone, not on who has an account. Realms with capabilities are closed, whatever is
// set or was set before. Errors: ErrRegistrationClosed (also: no such realm),
// ErrDomain, ErrInvalid (no address).
func (d *Directory) MayRegister(tx store.Tx, realm, address string) (name, canonical string, err error) {
	if realm == "" {
		realm = d.defaultRealm
	}
	r, err := d.Realm(tx, realm)
	if errors.Is(err, ErrUnknownRealm) {
		return "", "", ErrRegistrationClosed
	}
	if err != nil {
		return "", "", err
	}
	if r.Registration == nil || d.mayRegister(r) != nil {
		return "", "", ErrRegistrationClosed
	}
	if canonical, err = canonicalEmail(address); err != nil || canonical == "" {
		return "", "", refuse(ErrInvalid, "an address is expected, such as alice@example.com")
	}
	domain := canonical[strings.LastIndexByte(canonical, '@')+1:]
	if len(r.Registration.Domains) > 0 && !slices.Contains(r.Registration.Domains, domain) {
		return "", "", ErrDomain
	}
	return r.Name, canonical, nil
}

// ByAddressIn finds whose an address is in a realm; both are in their one spelling.
// Errors: ErrUnknownUser.
func (d *Directory) ByAddressIn(tx store.Tx, realm, address string) (*User, error) {
	return d.find(tx, spelling{ref: principal.Ref{Name: address, Realm: realm}, address: true, valid: true})
}
