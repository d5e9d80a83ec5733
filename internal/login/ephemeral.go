package login

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// ephemeral is the record behind an ephemeral token. Its key is the SHA-256 of
// the token, so that the store does not know what opens the second door.
type ephemeral struct {
	store.Meta
	State     Status       `json:"state"`
	Door      Door         `json:"door"`
	Principal principal.ID `json:"principal"` // zero: setup
	Epoch     uint64       `json:"epoch"`
	Expires   time.Time    `json:"expires"`
	Wrong     int          `json:"wrong,omitempty"`

	Target   string      `json:"target,omitempty"`
	Remember bool        `json:"remember,omitempty"`
	AMR      session.AMR `json:"amr,omitempty"` // what was proved already
	ProvedAt time.Time   `json:"proved_at,omitzero"`
	Replaces string      `json:"replaces,omitempty"` // session that ends when the new one opens

	// StepUp: Replaces must still live, and Until is where it would have ended.
	StepUp bool      `json:"step_up,omitempty"`
	Until  time.Time `json:"until,omitzero"`

	Link  []byte        `json:"link,omitempty"`  // setup, invite: SHA-256 of the link
	Draft *factor.Draft `json:"draft,omitempty"` // enroll, setup: waits for its first code
	Name  string        `json:"name,omitempty"`  // setup: of the administrator to be
	Hash  string        `json:"hash,omitempty"`  // setup: of the password

	Passkey *factor.Challenge `json:"passkey,omitempty"` // second_factor: waits for an answer, the first one
}

// held lists the living ephemeral tokens of one owner.
type held struct {
	store.Meta
	Tokens []heldToken `json:"tokens"`
}

type heldToken struct {
	Hash    []byte    `json:"hash"`
	Expires time.Time `json:"expires"`
	Kind    string    `json:"kind,omitempty"`
}

// kind tells half logins from what a page makes by being opened. Each kind has
// its own limit: otherwise whoever has a session, or a link, opens a page twenty
// times, and the owner's half login elsewhere is gone.
func (e *ephemeral) kind() string {
	switch {
	case e.StepUp:
		return "step_up"
	case e.State == Setup || e.State == Invited || e.State == Resetting || e.State == Registering || e.State == Objecting:
		return "link"
	}
	return ""
}

func ephemeralKey(hash []byte) store.Key { return store.K(store.PrefixLogin, "ephemeral", hash) }

// heldKey: half setups, which belong to nobody, share the owner zero.
func heldKey(owner principal.ID) store.Key { return store.K(store.PrefixLogin, "held", owner) }

// ticket is an ephemeral record with its key.
type ticket struct {
	*ephemeral
	hash []byte
}

// issue stores a new ephemeral token. The owner's oldest of its kind is burned
// where there are too many.
func issue(tx store.Tx, rec *ephemeral, life time.Duration) (secret.Token, error) {
	token := secret.NewToken(secret.Ephemeral)
	hash := token.Hash()
	rec.Expires = tx.Now().Add(life)
	list, err := loadHeld(tx, rec.Principal)
	if err != nil {
		return secret.Token{}, err
	}
	if oldest, full := list.full(rec.kind()); full {
		if err := tx.Delete(ephemeralKey(list.Tokens[oldest].Hash)); err != nil {
			return secret.Token{}, err
		}
		list.Tokens = slices.Delete(list.Tokens, oldest, oldest+1)
	}
	list.Tokens = append(list.Tokens, heldToken{Hash: hash[:], Expires: rec.Expires, Kind: rec.kind()})
	if err := saveHeld(tx, rec.Principal, list); err != nil {
		return secret.Token{}, err
	}
	return token, store.Save(tx, ephemeralKey(hash[:]), rec, rec.Expires)
}

// full finds the oldest token of a kind, and says whether it has to go.
func (h *held) full(kind string) (oldest int, full bool) {
	n := 0
	for i, t := range slices.Backward(h.Tokens) {
		if t.Kind == kind {
			oldest, n = i, n+1
		}
	}
	return oldest, n >= EphemeralLimit
}

// save writes a changed record back; its life stays as it is.
func (t ticket) save(tx store.Tx) error {
	return store.Save(tx, ephemeralKey(t.hash), t.ephemeral, t.Expires)
}

// burn makes the token good for nothing.
func (t ticket) burn(tx store.Tx) error {
	list, err := loadHeld(tx, t.Principal)
	if err != nil {
		return err
	}
	list.Tokens = slices.DeleteFunc(list.Tokens, func(h heldToken) bool { return bytes.Equal(h.Hash, t.hash) })
	if err := saveHeld(tx, t.Principal, list); err != nil {
		return err
	}
	return tx.Delete(ephemeralKey(t.hash))
}

// wrong counts a wrong code on the token; the last one burns it.
func (t ticket) wrong(tx store.Tx) error {
	t.Wrong++
	if t.Wrong >= t.tries() {
		return t.burn(tx)
	}
	return t.save(tx)
}

func (t ticket) tries() int {
	if t.State == Setup {
		return SetupTries
	}
	return EphemeralTries
}

// burnAll burns all tokens of an owner.
func burnAll(tx store.Tx, owner principal.ID) error {
	list, err := loadHeld(tx, owner)
	if err != nil {
		return err
	}
	for _, h := range list.Tokens {
		if err := tx.Delete(ephemeralKey(h.Hash)); err != nil {
			return err
		}
	}
	return tx.Delete(heldKey(owner))
}

func loadHeld(tx store.Tx, owner principal.ID) (*held, error) { return loadList(tx, heldKey(owner)) }

func loadList(tx store.Tx, key store.Key) (*held, error) {
	list, err := store.Load[held](tx, key)
	if errors.Is(err, store.ErrNotFound) {
		return &held{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load a list of tokens: %w", err)
	}
	list.Tokens = slices.DeleteFunc(list.Tokens, func(h heldToken) bool { return !tx.Now().Before(h.Expires) })
	return list, nil
}

func saveHeld(tx store.Tx, owner principal.ID, list *held) error {
	return saveList(tx, heldKey(owner), list)
}

func saveList(tx store.Tx, key store.Key, list *held) error {
	if len(list.Tokens) == 0 {
		return tx.Delete(key)
	}
	expires := list.Tokens[0].Expires
	for _, h := range list.Tokens {
		if h.Expires.After(expires) {
			expires = h.Expires
		}
	}
	return store.Save(tx, key, list, expires)
}

// ticketOf reads the record of an ephemeral token. A text that is none, a dead
// one, another door's, or one in a state that was not asked for: ErrDenied, and
// nothing is burned.
func ticketOf(tx store.Tx, token string, door Door, states ...Status) (ticket, error) {
	parsed, err := secret.ParseToken(secret.Ephemeral, token)
	if err != nil || door.kind() == 0 {
		return ticket{}, ErrDenied
	}
	hash := parsed.Hash()
	rec, err := store.Load[ephemeral](tx, ephemeralKey(hash[:]))
	if errors.Is(err, store.ErrNotFound) {
		return ticket{}, ErrDenied
	}
	if err != nil {
		return ticket{}, fmt.Errorf("load half login: %w", err)
	}
	if rec.Door != door || !slices.Contains(states, rec.State) || !tx.Now().Before(rec.Expires) {
		return ticket{}, ErrDenied
	}
	return ticket{ephemeral: rec, hash: hash[:]}, nil
}

// owner reads whose token it is. Where the person is gone, disabled or at
// another epoch, or the session to step up has ended: ErrDenied.
func (d *Doors) owner(tx store.Tx, t ticket) (*account.User, error) {
	u, err := d.dir.ByID(tx, t.Principal)
	if errors.Is(err, account.ErrUnknownUser) {
		return nil, ErrDenied
	}
	if err != nil {
		return nil, err
	}
	if u.Disabled || u.Epoch != t.Epoch {
		return nil, ErrDenied
	}
	if t.StepUp {
		if err := d.living(tx, t.Replaces, u.ID); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// living answers ErrDenied unless the session lives and is this person's.
func (d *Doors) living(tx store.Tx, id string, who principal.ID) error {
	s, err := d.sessions.Get(tx, id)
	if errors.Is(err, session.ErrNone) || err == nil && s.Principal != who {
		return ErrDenied
	}
	return err
}

// Peek says what an ephemeral token is good for, for the page that asks. It
// burns nothing. Errors: ErrDenied.
func (d *Doors) Peek(ctx context.Context, token string, door Door) (*State, error) {
	var state *State
	err := d.store.View(ctx, func(tx store.Tx) (err error) {
		state, err = d.peek(tx, token, door)
		return err
	})
	return state, err
}

func (d *Doors) peek(tx store.Tx, token string, door Door) (*State, error) {
	t, err := ticketOf(tx, token, door, SecondFactor, Enroll, Setup, Invited, Resetting, Registering, Objecting)
	if err != nil {
		return nil, err
	}
	state := &State{
		Status: t.State, Target: t.Target, Name: t.Name, Realm: account.AdminRealm,
		ExpiresIn: t.Expires.Sub(tx.Now()), TriesLeft: t.tries() - t.Wrong, StepUp: t.StepUp,
	}
	if t.Draft != nil {
		state.Enrollment = t.Draft.Enrollment()
	}
	switch t.State {
	case Setup:
		if err := d.setupOpen(tx, t); err != nil {
			return nil, err
		}
		return state, nil
	case Invited:
		if err := d.invitationOpen(tx, t); err != nil {
			return nil, err
		}
	case Resetting, Registering, Objecting:
		return state, d.peekMailed(tx, token, t, state)
	}
	u, err := d.owner(tx, t)
	if err != nil {
		return nil, err
	}
	state.Name, state.Realm = u.Name, u.Realm
	switch t.State {
	case SecondFactor:
		if state.Method, state.Others, err = d.ways(tx, u); err == nil {
			state.Targets, err = d.targets(tx, u)
		}
		if realm, fault := d.dir.Realm(tx, u.Realm); err == nil {
			state.TrustFor, err = realm.TrustFor(), fault
		}
	case Enroll:
		state.Others, err = d.factors.Offered(tx, u.Realm)
	}
	return state, err
}

// targets are where the codes of the person's methods go, masked.
func (d *Doors) targets(tx store.Tx, u *account.User) (map[factor.Name]string, error) {
	methods, err := d.factors.Methods(tx, u.ID)
	targets := map[factor.Name]string{}
	for _, m := range methods {
		if m.Active && factor.Sendable(m.Name) {
			targets[m.Name] = m.Target
		}
	}
	return targets, err
}

// ways are the person's ways through the second door, the first one first.
func (d *Doors) ways(tx store.Tx, u *account.User) (first factor.Name, others []factor.Name, err error) {
	for _, m := range u.Methods {
		name := factor.Name(m.Name)
		if m.Primary && first == "" {
			first = name
			continue
		}
		others = append(others, name)
	}
	if first == "" && len(others) > 0 {
		first, others = others[0], others[1:]
	}
	left, err := d.factors.RecoveryLeft(tx, u.ID)
	if err == nil && left > 0 {
		others = append(others, factor.RecoveryCode)
	}
	return first, others, err
}
