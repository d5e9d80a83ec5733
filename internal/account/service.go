package account

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// ErrUnknownService is the answer for a service that is not there.
var ErrUnknownService = errors.New("no such service")

// Use says what a service's tokens are good for. The zero Use is both.
type Use string

const (
	UseBoth    Use = ""        // it calls, and others may ask about its tokens
	UseCaller  Use = "caller"  // it calls; whoever asks about its tokens hears no
	UseSubject Use = "subject" // others ask about its tokens; they open nothing
)

// DefaultOverlap is how long the seed before a rotation works on.
const DefaultOverlap = 24 * time.Hour

// Limits of services.
const (
	MaxOverlap     = 30 * 24 * time.Hour
	maxDescription = 256 // bytes
	maxAllowFrom   = 64
)

// Seed is one long-term seed of a service. The secret never leaves but in the
// answer that made it.
type Seed struct {
	ID     uint64     `json:"id"` // counts up with each rotation; burned steps hang on it
	Secret []byte     `json:"secret"`
	Params otp.Params `json:"params"`
	MadeAt time.Time  `json:"made_at"`
	Until  time.Time  `json:"until,omitzero"` // of a seed that was rotated out: it works no longer then
}

// Service is a program that proves itself with time-based tokens.
type Service struct {
	store.Meta
	ID          principal.ID   `json:"id"`
	Number      uint64         `json:"number"`
	Name        string         `json:"name"`
	Realm       string         `json:"realm"`
	Description string         `json:"description,omitempty"`
	Seeds       []Seed         `json:"seeds"` // the newest first; the second one is its predecessor
	Use         Use            `json:"use,omitempty"`
	AllowFrom   []netip.Prefix `json:"allow_from,omitempty"` // empty: everywhere
	Disabled    bool           `json:"disabled,omitempty"`
	Epoch       uint64         `json:"epoch"`             // access tokens and streams of an older one are dead
	Version     uint64         `json:"version"`           // for If-Match
	Owner       string         `json:"owner,omitempty"`   // whose program it is; a text, no principal
	Trusted     bool           `json:"trusted,omitempty"` // of an application of compat.ungleich: it may ask about others
	Via         string         `json:"via,omitempty"`     // the facade through which it was created, or of whose system it was imported
	CreatedAt   time.Time      `json:"created_at"`
	RotatedAt   time.Time      `json:"rotated_at,omitzero"`
}

// Ref names the service.
func (s *Service) Ref() principal.Ref { return principal.Ref{Name: s.Name, Realm: s.Realm} }

// A service holds its seeds: whatever prints or logs one shows the name alone.
func (s Service) String() string             { return s.Ref().String() }
func (s Service) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }
func (s Service) LogValue() slog.Value       { return slog.StringValue(s.String()) }

func (s Seed) String() string             { return "[secret]" }
func (s Seed) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }
func (s Seed) LogValue() slog.Value       { return slog.StringValue(s.String()) }

// Newest is the seed of the last rotation; the zero Seed where a record has none.
func (s *Service) Newest() Seed {
	if len(s.Seeds) == 0 {
		return Seed{}
	}
	return s.Seeds[0]
}

// Working returns the seeds whose tokens are good at an instant: the newest, and
// during an overlap its predecessor.
func (s *Service) Working(at time.Time) []Seed {
	return slices.DeleteFunc(slices.Clone(s.Seeds), func(seed Seed) bool { return !seed.Until.IsZero() && !at.Before(seed.Until) })
}

// Identity returns what other rooms may know. Whoever is disabled, or whose
// tokens open nothing (UseSubject), is not enabled.
func (s *Service) Identity() Identity {
	return Identity{
		ID: s.ID, Number: s.Number, Kind: principal.Service, Name: s.Name, Realm: s.Realm, FullName: s.Description,
		Epoch: s.Epoch, Enabled: !s.Disabled && s.Use != UseSubject, AllowFrom: s.AllowFrom,
	}
}

// MayCallFrom reports whether a principal may act from an address: a service may
// be bound to networks, people are not. An address that nobody knows is in none.
func (who *Identity) MayCallFrom(client netip.Addr) bool {
	return len(who.AllowFrom) == 0 || within(who.AllowFrom, client)
}

func within(networks []netip.Prefix, client netip.Addr) bool {
	client = client.Unmap().WithZone("")
	return client.IsValid() && slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(client) })
}

// ServiceKeyPrefix is the start of all services' keys, for Watch and Scan.
func ServiceKeyPrefix() []byte { return store.KPrefix(store.PrefixAccount, keyService) }

func serviceKey(ref principal.Ref) store.Key {
	return store.K(store.PrefixAccount, keyService, ref.Realm, ref.Name)
}

func serviceStateKey(id principal.ID) store.Key {
	return store.K(store.PrefixAccount, keyServiceState, id)
}

// ServiceByRef finds a service by the canonical name. Errors: ErrUnknownService.
func (d *Directory) ServiceByRef(tx store.Tx, ref principal.Ref) (*Service, error) {
	if len(ref.Name) > principal.MaxName || len(ref.Realm) > principal.MaxRealm {
		return nil, ErrUnknownService
	}
	s, err := store.Load[Service](tx, serviceKey(ref))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrUnknownService
	}
	return s, err
}

// ServiceKey is the name in a service's key, as Watch shows it.
func ServiceKey(key []byte) (ref principal.Ref, ok bool) {
	parts, ok := store.Parts(store.PrefixAccount, key)
	if !ok || len(parts) != 3 || string(parts[0]) != keyService {
		return principal.Ref{}, false
	}
	return principal.Ref{Realm: string(parts[1]), Name: string(parts[2])}, true
}

// ServiceState is what changes about a service without an administrator. It has a
// record of its own, so that a service in use does not change its version.
type ServiceState struct {
	store.Meta
	SeenAt    time.Time        `json:"seen_at,omitzero"`           // when it last proved itself, to a minute
	RefusedAt time.Time        `json:"refused_at,omitzero"`        // when a good token of it was last refused, likewise
	Burned    map[uint64]int64 `json:"burned_by_verify,omitempty"` // seed → the last step that POST /verify accepted
	Replayed  int64            `json:"replayed,omitempty"`         // the last burned step of which a replay was recorded
}

// BurnedStep is the last step of a seed (Seed.ID) that was burned, -1 if none was.
func (s *ServiceState) BurnedStep(id uint64) int64 {
	if step, ok := s.Burned[id]; ok {
		return step
	}
	return -1
}

// Burn notes that a step of a seed was accepted, and forgets seeds that the service
// has no longer.
func (s *ServiceState) Burn(has []Seed, id uint64, step int64) {
	kept := map[uint64]int64{}
	for _, seed := range has {
		if old, ok := s.Burned[seed.ID]; ok {
			kept[seed.ID] = old
		}
	}
	kept[id] = step
	s.Burned = kept
}

// ServiceState reads the state of a service; a new one's is empty.
func (d *Directory) ServiceState(tx store.Tx, id principal.ID) (*ServiceState, error) {
	s, err := store.Load[ServiceState](tx, serviceStateKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return &ServiceState{}, nil
	}
	return s, err
}

// SaveServiceState writes it. Who calls it has judged a token in this transaction.
func (d *Directory) SaveServiceState(tx store.Tx, id principal.ID, s *ServiceState) error {
	return store.Save(tx, serviceStateKey(id), s, noExpiry)
}

// burnedSeeds remembers the burned steps of seeds that no service of a realm has any
// more: if the same seed comes back, what was burned stays so. Names of keys are in
// clear, so the seeds' hashes stand in one sealed record.
type burnedSeeds struct {
	store.Meta
	Seeds []burnedSeed `json:"seeds"`
}

type burnedSeed struct {
	Hash  []byte    `json:"hash"`
	Step  int64     `json:"step"`
	Until time.Time `json:"until"`
}

const (
	burnedLife = 48 * time.Hour // longer than any clock is set back
	maxBurned  = 1000           // the oldest goes
)

func burnedKey(realm string) store.Key { return store.K(store.PrefixAccount, keyBurnedSeed, realm) }

func loadBurned(tx store.Tx, realm string) (*burnedSeeds, error) {
	b, err := store.Load[burnedSeeds](tx, burnedKey(realm))
	if errors.Is(err, store.ErrNotFound) {
		return &burnedSeeds{}, nil
	}
	return b, err
}

// letGo remembers what was burned of seeds that a service is about to lose.
func (d *Directory) letGo(tx store.Tx, s *Service, lost []Seed) error {
	state, err := d.ServiceState(tx, s.ID)
	if err != nil {
		return err
	}
	lost = slices.DeleteFunc(slices.Clone(lost), func(seed Seed) bool { return state.BurnedStep(seed.ID) < 0 })
	if len(lost) == 0 {
		return nil
	}
	b, err := loadBurned(tx, s.Realm)
	if err != nil {
		return err
	}
	b.Seeds = slices.DeleteFunc(b.Seeds, func(old burnedSeed) bool { return !tx.Now().Before(old.Until) })
	for _, seed := range lost {
		sum := sha256.Sum256(seed.Secret)
		b.Seeds = append(b.Seeds, burnedSeed{Hash: sum[:], Step: state.BurnedStep(seed.ID), Until: tx.Now().Add(burnedLife)})
	}
	b.Seeds = b.Seeds[max(0, len(b.Seeds)-maxBurned):]
	return store.Save(tx, burnedKey(s.Realm), b, tx.Now().Add(burnedLife))
}

// takeUp burns for a seed from elsewhere what was burned of it before.
func (d *Directory) takeUp(tx store.Tx, s *Service, seed Seed) error {
	b, err := loadBurned(tx, s.Realm)
	if err != nil {
		return err
	}
	sum, last := sha256.Sum256(seed.Secret), int64(-1)
	for _, old := range b.Seeds {
		if subtle.ConstantTimeCompare(old.Hash, sum[:]) == 1 {
			last = max(last, old.Step)
		}
	}
	if last < 0 {
		return nil
	}
	state, err := d.ServiceState(tx, s.ID)
	if err != nil {
		return err
	}
	state.Burn(s.Seeds, seed.ID, last)
	return d.SaveServiceState(tx, s.ID, state)
}
