package account

import (
	"crypto/subtle"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// NewService is what CreateService needs. Ref may be in any spelling.
type NewService struct {
	Ref         principal.Ref
	Description string
	Seed        []byte      // from elsewhere, at least otp.MinSeed bytes; nil: a random one
	SeedSize    int         // of a random seed, in bytes; less than otp.MinNewSeed: that
	Params      *otp.Params // nil: the realm's
	Use         Use
	AllowFrom   []string // networks or addresses; empty: everywhere
	Owner       string
	Trusted     bool
	MakeRealm   bool // make a missing realm, without capabilities

	// Via is for ImportService alone: the facade whose older system it comes from,
	// as Service.Via. CreateService knows by its actor.
	Via string
}

// ServiceChange is what UpdateService changes: fields that are nil stay.
type ServiceChange struct {
	Description *string
	Use         *Use
	AllowFrom   *[]string
	Owner       *string
	Trusted     *bool
	Disabled    *bool // true ends its access tokens and streams
}

// CreateService makes a service. Names are shared with users: one name of a realm
// is one principal. The new seed is the first of Seeds.
// Errors: ErrInvalid, ErrUnknownRealm, ErrExists, ErrForbidden, ErrNotFresh.
func (d *Directory) CreateService(tx store.Tx, a Actor, n NewService) (*Service, error) {
	n.Via = a.facade()
	return d.createService(tx, a, n)
}

// createService is CreateService with a Via that was judged.
func (d *Directory) createService(tx store.Tx, a Actor, n NewService) (*Service, error) {
	realm, rights, err := d.creating(tx, a, n.Ref.Realm, n.MakeRealm)
	if err != nil {
		return nil, err
	}
	s, seed, err := d.newService(tx, realm, n)
	if err != nil {
		return nil, err
	}
	s.Via = n.Via
	if err := claimName(tx, s.Ref(), s.ID, principal.Service); err != nil {
		return nil, err
	}
	if s.Number, err = nextNumber(tx); err != nil {
		return nil, err
	}
	if err := saveService(tx, s); err != nil {
		return nil, err
	}
	if err := d.takeUp(tx, s, seed); err != nil {
		return nil, err
	}
	return s, d.record(tx, rights, aboutService(s, audit.KindServiceCreate))
}

// serviceName is the one spelling of a service's name.
func (d *Directory) serviceName(tx store.Tx, name, realm string) (string, error) {
	r, err := d.RealmToBe(tx, realm)
	if err != nil {
		return "", err
	}
	if name, err = canonicalName(r, name); err != nil {
		return "", err
	}
	// In Basic a name ends at the first colon (RFC 7617 section 2), and OAuth clients
	// send it with percent signs (RFC 6749 section 2.3.1): it must have one reading.
	// Where names are exact, those that have two are good for a facade alone.
	if r.Names != NamesExact && strings.ContainsAny(name, ":%+*") || strings.ContainsAny(realm, ":%+*") {
		return "", refuse(ErrInvalid, "the name and the realm of a service hold no colon, percent sign, plus or star")
	}
	// Nobody could show, disable or delete it.
	if !principal.InPath(name) {
		return "", refuse(ErrInvalid, "the name of a service must be able to stand in a path: it is not empty, begins and ends with no /, and has no // and no part . or ..")
	}
	return name, nil
}

// newService is the record of a new service, canonical and within all limits, and
// its seed. Nothing is written.
func (d *Directory) newService(tx store.Tx, realm string, n NewService) (*Service, Seed, error) {
	s := &Service{ID: principal.NewID(), Realm: realm, Epoch: 1, CreatedAt: tx.Now()}
	var err error
	if s.Name, err = d.serviceName(tx, n.Ref.Name, realm); err != nil {
		return nil, Seed{}, err
	}
	change := ServiceChange{Description: &n.Description, Use: &n.Use, AllowFrom: &n.AllowFrom, Owner: &n.Owner, Trusted: &n.Trusted}
	if err := change.apply(s); err != nil {
		return nil, Seed{}, err
	}
	seed, err := d.newSeed(tx, realm, n.Seed, n.SeedSize, n.Params)
	if err != nil {
		return nil, Seed{}, err
	}
	seed.ID = 1
	s.Seeds = []Seed{seed}
	return s, seed, nil
}

// newSeed makes the seed of a service, or takes one from elsewhere.
func (d *Directory) newSeed(tx store.Tx, realm string, given []byte, size int, params *otp.Params) (Seed, error) {
	if params == nil {
		r, err := d.RealmToBe(tx, realm)
		if err != nil {
			return Seed{}, err
		}
		params = r.OTP
	}
	if err := params.Usual(); err != nil {
		return Seed{}, refuse(ErrInvalid, "%v", err)
	}
	if size > otp.MaxSeed {
		return Seed{}, refuse(ErrInvalid, "a seed has at most %d bytes", otp.MaxSeed)
	}
	if given == nil {
		given = otp.NewSeed(size)
	}
	if len(given) < otp.MinSeed || len(given) > otp.MaxSeed {
		return Seed{}, refuse(ErrInvalid, "a seed has %d to %d bytes, this one has %d", otp.MinSeed, otp.MaxSeed, len(given))
	}
	return Seed{Secret: slices.Clone(given), Params: *params, MadeAt: tx.Now()}, nil
}

// UpdateService changes what ServiceChange names. Disabling raises the epoch, and so
// does a use that leaves no calls: what was open before stays closed when the service
// may call again.
// Errors: ErrUnknownService, ErrInvalid, ErrForbidden, ErrNotFresh.
func (d *Directory) UpdateService(tx store.Tx, a Actor, ref principal.Ref, c ServiceChange) (*Service, error) {
	s, rights, err := d.serviceTarget(tx, a, ref, Update)
	if err != nil {
		return nil, err
	}
	before := *s
	if err := c.apply(s); err != nil {
		return nil, err
	}
	fields := changedService(&before, s)
	if len(fields) == 0 {
		return s, nil
	}
	kind := audit.KindServiceUpdate
	switch {
	case s.Disabled && !before.Disabled:
		kind = audit.KindServiceDisable
	case before.Disabled && !s.Disabled:
		kind = audit.KindServiceEnable
	}
	if before.Identity().Enabled && !s.Identity().Enabled {
		s.Epoch++
	}
	if err := saveService(tx, s); err != nil {
		return nil, err
	}
	e := aboutService(s, kind)
	e.Detail = map[string]string{"fields": strings.Join(fields, ",")}
	return s, d.record(tx, rights, e)
}

// RotateService gives a service a new seed (given, or a random one of size bytes).
// The old one works on for the overlap, at most MaxOverlap, and an older one no
// longer. Access tokens end: the service fetches another with either seed.
// Errors: ErrUnknownService, ErrInvalid, ErrForbidden, ErrNotFresh.
func (d *Directory) RotateService(tx store.Tx, a Actor, ref principal.Ref, given []byte, size int, overlap time.Duration) (*Service, error) {
	s, rights, err := d.serviceTarget(tx, a, ref, Update)
	if err != nil {
		return nil, err
	}
	if overlap < 0 || overlap > MaxOverlap {
		return nil, refuse(ErrInvalid, "the overlap is 0 to %d hours", int(MaxOverlap/time.Hour))
	}
	old, lost := s.Newest(), s.Seeds
	var params *otp.Params // nil: the realm's
	if old.ID > 0 {
		params = &old.Params
	}
	seed, err := d.newSeed(tx, s.Realm, given, size, params)
	if err != nil {
		return nil, err
	}
	for _, known := range s.Seeds {
		if subtle.ConstantTimeCompare(known.Secret, seed.Secret) == 1 {
			return nil, refuse(ErrInvalid, "the service has this seed already: a rotation needs another one")
		}
	}
	seed.ID = old.ID + 1
	s.Seeds = []Seed{seed}
	if overlap > 0 && old.ID > 0 {
		old.Until = tx.Now().Add(overlap)
		s.Seeds, lost = append(s.Seeds, old), lost[1:]
	}
	if err := errors.Join(d.letGo(tx, s, lost), d.takeUp(tx, s, seed)); err != nil {
		return nil, err
	}
	s.RotatedAt = tx.Now()
	s.Epoch++
	if err := saveService(tx, s); err != nil {
		return nil, err
	}
	return s, d.record(tx, rights, aboutService(s, audit.KindServiceRotate))
}

// DeleteService removes a service. The id and the number are never given again.
// Errors: ErrUnknownService, ErrForbidden, ErrNotFresh, and what a
// function of OnDeleteService answers.
func (d *Directory) DeleteService(tx store.Tx, a Actor, ref principal.Ref) error {
	s, rights, err := d.serviceTarget(tx, a, ref, Delete)
	if err != nil {
		return err
	}
	if err := d.letGo(tx, s, s.Seeds); err != nil {
		return err
	}
	for _, fn := range d.onDeleteService {
		if err := fn(tx, s); err != nil {
			return err
		}
	}
	for _, key := range []store.Key{serviceKey(s.Ref()), nameKey(s.Ref()), serviceStateKey(s.ID), numberKey(s.Number)} {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	if err := addMember(tx, s.Realm, -1); err != nil {
		return err
	}
	return d.record(tx, rights, aboutService(s, audit.KindServiceDelete))
}

// OnDeleteService has fn called in the transaction that deletes a service. Its
// error keeps the service.
func (d *Directory) OnDeleteService(fn func(tx store.Tx, s *Service) error) {
	d.onDeleteService = append(d.onDeleteService, fn)
}

// serviceTarget finds the service that an actor wants to change; the right to it
// is checked first, so that nobody else learns who exists.
func (d *Directory) serviceTarget(tx store.Tx, a Actor, ref principal.Ref, c Capability) (*Service, rights, error) {
	r, err := d.rights(tx, a)
	if err != nil {
		return nil, r, err
	}
	if err := r.over(tx, c, ref.Realm); err != nil {
		return nil, r, err
	}
	s, err := d.ServiceByRef(tx, ref)
	if err == nil {
		err = d.Reaches(tx, a, s)
	}
	return s, r, err
}

func (c ServiceChange) apply(s *Service) (err error) {
	if c.Description != nil {
		if s.Description, err = validText("description", *c.Description, maxDescription); err != nil {
			return err
		}
	}
	if c.Use != nil {
		switch *c.Use {
		case UseBoth, UseCaller, UseSubject:
			s.Use = *c.Use
		default:
			return refuse(ErrInvalid, "use is caller, subject or empty for both")
		}
	}
	if c.AllowFrom != nil {
		if s.AllowFrom, err = canonicalNetworks(*c.AllowFrom); err != nil {
			return err
		}
	}
	if c.Owner != nil {
		if s.Owner, err = validText("owner", *c.Owner, principal.MaxName); err != nil {
			return err
		}
	}
	if c.Trusted != nil {
		s.Trusted = *c.Trusted
	}
	if c.Disabled != nil {
		s.Disabled = *c.Disabled
	}
	return nil
}

// canonicalNetworks reads prefixes and single addresses, each once, in order.
func canonicalNetworks(texts []string) ([]netip.Prefix, error) {
	if len(texts) > maxAllowFrom {
		return nil, refuse(ErrInvalid, "a service is bound to at most %d networks", maxAllowFrom)
	}
	var networks []netip.Prefix
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			address, err := netip.ParseAddr(text)
			if err != nil || address.Zone() != "" {
				return nil, refuse(ErrInvalid, "allow_from lists networks such as 10.0.0.0/8 and addresses such as 192.0.2.1")
			}
			address = address.Unmap()
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		if prefix.Addr().Is4In6() {
			return nil, refuse(ErrInvalid, "allow_from takes IPv4 networks in their own form, such as 10.0.0.0/8")
		}
		networks = append(networks, prefix.Masked())
	}
	slices.SortFunc(networks, func(a, b netip.Prefix) int { return a.Compare(b) })
	return slices.Compact(networks), nil
}

func changedService(a, b *Service) (fields []string) {
	if a.Description != b.Description {
		fields = append(fields, "description")
	}
	if a.Use != b.Use {
		fields = append(fields, "use")
	}
	if !slices.Equal(a.AllowFrom, b.AllowFrom) {
		fields = append(fields, "allow_from")
	}
	if a.Owner != b.Owner {
		fields = append(fields, "owner")
	}
	if a.Trusted != b.Trusted {
		fields = append(fields, "trusted")
	}
	if a.Disabled != b.Disabled {
		fields = append(fields, "disabled")
	}
	return fields
}

func saveService(tx store.Tx, s *Service) error {
	s.Version++
	if err := saveNumber(tx, s); err != nil {
		return err
	}
	return store.Save(tx, serviceKey(s.Ref()), s, noExpiry)
}

func aboutService(s *Service, kind audit.Kind) audit.Event {
	return audit.Event{Kind: kind, Principal: s.ID, Name: s.Ref().String()}
}

// Services pages through the services of a realm (empty: of all realms) whose name
// begins with q, at most limit of them (1 to MaxList), realm by realm, in the order
// of their names. next is the cursor of the following page, empty at the end. That
// the caller may see the realm, Allowed says. Errors: ErrCursor.
func (d *Directory) Services(tx store.Tx, realm, q, cursor string, limit int) (services []Service, next string, err error) {
	p, err := parseServicePlace(cursor)
	if err != nil {
		return nil, "", err
	}
	limit = min(max(limit, 1), MaxList)
	services = []Service{}
	if len(q) > maxQuery {
		return services, "", nil
	}
	q = strings.ToLower(q)
	realms, err := d.listedRealms(tx, realm)
	if err != nil {
		return nil, "", err
	}
	for _, r := range realms {
		if r.Name < p.Realm {
			continue
		}
		var from []byte
		if r.Name == p.Realm && p.Begun {
			from = store.Next(serviceKey(principal.Ref{Realm: p.Realm, Name: p.After}))
		}
		for item, err := range tx.Scan(store.KStart(store.PrefixAccount, keyService, r.Name, store.OpenString(q)), from) {
			if err != nil {
				return nil, "", err
			}
			if len(services) == limit {
				last := services[limit-1]
				return services, place{Realm: last.Realm, Index: keyService, After: last.Name, Begun: true}.String(), nil
			}
			s, err := store.Decode[Service](item.Value)
			if err != nil {
				return nil, "", err
			}
			services = append(services, *s)
		}
	}
	return services, "", nil
}

func parseServicePlace(cursor string) (place, error) {
	if cursor == "" {
		return place{}, nil
	}
	p, err := decodePlace(cursor)
	if err != nil || p.Index != keyService {
		return place{}, ErrCursor
	}
	return p, nil
}

// kind is what an index record of names leads to.
func (i *indexed) kind() principal.Kind {
	if i.Kind == 0 {
		return principal.User
	}
	return i.Kind
}
