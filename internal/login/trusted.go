package login

import (
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// A trusted browser holds a token that stands for the second factor which was proved
// there once: after the right password it leads past the second door, for rules that
// count factors, and for nothing else (session.Trusted). By itself it opens nothing.
//
// The token is not renewed by its use, and its life is not prolonged: two windows that
// log in at once, or an answer that is lost on its way, would cost the trust, and a
// thief who has the password too would be first as often as the owner. Who has used it
// last, and from where, its owner sees, and ends it.

// TrustedLimit bounds the trusted browsers of a person: the oldest makes room.
const TrustedLimit = 20

// methodTrusted is how events call what stood for the second factor.
const methodTrusted factor.Name = "trusted"

// ErrNotTrusted: no browser of this id is trusted, by this person.
var ErrNotTrusted = errors.New("there is no such trusted browser")

// TrustedBrowser is what may be shown of a trusted browser.
type TrustedBrowser struct {
	ID       string
	Created  time.Time
	LastUsed time.Time // of a login; zero: never
	Expires  time.Time
	Origin   session.Origin // of the last use
	Current  bool           // it is the one that asks
}

// trusted holds all browsers that a person trusts: one record, read by Get, so that the
// bound holds, and all of them end, whoever else is at the doors.
type trusted struct {
	store.Meta
	Browsers []trustedBrowser `json:"browsers"` // oldest first
}

type trustedBrowser struct {
	Hash      []byte     `json:"hash"` // SHA-256 of the token: who holds the record opens nothing
	Door      Door       `json:"door"`
	Realm     string     `json:"realm"`
	Epoch     uint64     `json:"epoch"`
	Created   time.Time  `json:"created"`
	Used      time.Time  `json:"used,omitzero"`
	Expires   time.Time  `json:"expires"`
	Client    netip.Addr `json:"client,omitzero"`
	UserAgent string     `json:"user_agent,omitempty"`
}

func trustedKey(id principal.ID) store.Key { return store.K(store.PrefixLogin, "trusted", id) }

// id is the public name: half of the hash, from which the token does not follow.
func (b *trustedBrowser) id() string { return hex.EncodeToString(b.Hash[:min(len(b.Hash), 16)]) }

// until is when the trust ends: as was promised, or earlier where the realm has become
// stricter since.
func (b *trustedBrowser) until(life time.Duration) time.Time {
	if strict := b.Created.Add(life); strict.Before(b.Expires) {
		return strict
	}
	return b.Expires
}

// good reports whether the trust lasts. Any change of password or factors, and
// disabling, raised the epoch and ended it.
func (b *trustedBrowser) good(u *account.User, life time.Duration, now time.Time) bool {
	return b.Realm == u.Realm && b.Epoch == u.Epoch && now.Before(b.until(life))
}

// use notes who used it last.
func (b *trustedBrowser) use(c Client) {
	b.Client, b.UserAgent = c.Addr, cutAgent(c.UserAgent)
}

// maxAgent bounds what a stranger's header may take in a record, in bytes.
const maxAgent = 256

func cutAgent(agent string) string {
	return strings.ToValidUTF8(agent[:min(len(agent), maxAgent)], "")
}

// holding is the place of a token in the list, -1 for none.
func (t *trusted) holding(text string) int {
	token, err := secret.ParseToken(secret.Device, text)
	if err != nil {
		return -1
	}
	hash := token.Hash()
	return slices.IndexFunc(t.Browsers, func(b trustedBrowser) bool { return hmac.Equal(b.Hash, hash[:]) })
}

func loadTrusted(tx store.Tx, id principal.ID) (*trusted, error) {
	t, err := store.Load[trusted](tx, trustedKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return &trusted{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load trusted browsers: %w", err)
	}
	return t, nil
}

func (t *trusted) save(tx store.Tx, id principal.ID) error {
	if len(t.Browsers) == 0 {
		return tx.Delete(trustedKey(id))
	}
	var last time.Time
	for _, b := range t.Browsers {
		if b.Expires.After(last) {
			last = b.Expires
		}
	}
	return store.Save(tx, trustedKey(id), t, last)
}

// trusts reports whether the browser at the first door is one that this person trusts,
// and notes the use. Whatever else it brought is as if it had brought nothing: the
// answer is the way to the second door, the same for all.
func (d *Doors) trusts(tx store.Tx, u *account.User, realm account.Realm, p passage) (bool, error) {
	life := realm.TrustFor()
	if life == 0 || p.trusted == "" || p.fresh || p.door.facade() || u.Factors() == 0 {
		return false, nil
	}
	t, err := loadTrusted(tx, u.ID)
	if err != nil {
		return false, err
	}
	i := t.holding(p.trusted)
	if i < 0 || t.Browsers[i].Door != p.door || !t.Browsers[i].good(u, life, tx.Now()) {
		return false, nil
	}
	t.Browsers[i].Used = tx.Now()
	t.Browsers[i].use(p.client)
	return true, t.save(tx, u.ID)
}

// trust makes the browser at the second door a trusted one, if it asks for it and may
// be one, and hands out its token. Not for a recovery code: it says that the factor is
// lost, and often that the browser is a borrowed one. The token that the same browser
// had is dead.
func (d *Doors) trust(tx store.Tx, u *account.User, s Second, v verdict, next *Next) error {
	if !s.Trust || s.Door.facade() || v.method == factor.RecoveryCode {
		return nil
	}
	realm, err := d.dir.Realm(tx, u.Realm)
	if err != nil {
		return err
	}
	life := realm.TrustFor()
	if life == 0 {
		return nil
	}
	t, err := loadTrusted(tx, u.ID)
	if err != nil {
		return err
	}
	if i := t.holding(s.Trusted); i >= 0 {
		t.Browsers = slices.Delete(t.Browsers, i, i+1)
	}
	t.Browsers = slices.DeleteFunc(t.Browsers, func(b trustedBrowser) bool { return !b.good(u, life, tx.Now()) })
	if over := len(t.Browsers) - TrustedLimit + 1; over > 0 {
		t.Browsers = slices.Delete(t.Browsers, 0, over)
	}
	token := secret.NewToken(secret.Device)
	hash := token.Hash()
	b := trustedBrowser{
		Hash: hash[:], Door: s.Door, Realm: u.Realm, Epoch: u.Epoch, Created: tx.Now(), Expires: tx.Now().Add(life),
	}
	b.use(s.Client)
	t.Browsers = append(t.Browsers, b)
	if err := t.save(tx, u.ID); err != nil {
		return err
	}
	next.Trusted, next.TrustedFor = token, life
	return d.audit.Record(tx, audit.Event{
		Time: tx.Now(), Kind: audit.KindTrustedAdd, Outcome: audit.OK, Principal: u.ID, Name: u.Ref().String(),
		Client: s.Client.Addr, Session: next.Opened.ID, Method: string(v.method), Detail: map[string]string{"trusted_browser": b.id()},
	})
}

// TrustedBrowsers returns the browsers that skip the second door for a person now,
// newest first. token is what the one that asks holds, "" for none.
func (d *Doors) TrustedBrowsers(tx store.Tx, u *account.User, token string) ([]TrustedBrowser, error) {
	realm, err := d.dir.Realm(tx, u.Realm)
	if err != nil {
		return nil, err
	}
	t, err := loadTrusted(tx, u.ID)
	if err != nil {
		return nil, err
	}
	life, current := realm.TrustFor(), t.holding(token)
	var list []TrustedBrowser
	for i, b := range slices.Backward(t.Browsers) {
		if life == 0 || !b.good(u, life, tx.Now()) {
			continue
		}
		list = append(list, TrustedBrowser{
			ID: b.id(), Created: b.Created, LastUsed: b.Used, Expires: b.until(life), Current: i == current,
			Origin: session.Origin{Client: b.Client, UserAgent: b.UserAgent},
		})
	}
	return list, nil
}

// Distrust ends the trust in one browser. That the actor may, the caller has checked.
// Errors: ErrNotTrusted.
func (d *Doors) Distrust(tx store.Tx, actor account.Actor, u *account.User, id string) error {
	t, err := loadTrusted(tx, u.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(t.Browsers, func(b trustedBrowser) bool { return b.id() == id })
	if i < 0 {
		return ErrNotTrusted
	}
	t.Browsers = slices.Delete(t.Browsers, i, i+1)
	if err := t.save(tx, u.ID); err != nil {
		return err
	}
	return d.recordDistrust(tx, actor, u, id)
}

// DistrustAll ends the trust in all browsers of a person, and returns how many there
// were. That the actor may, the caller has checked.
func (d *Doors) DistrustAll(tx store.Tx, actor account.Actor, u *account.User) (n int, err error) {
	t, err := loadTrusted(tx, u.ID)
	if err != nil {
		return 0, err
	}
	if n = len(t.Browsers); n == 0 {
		return 0, nil
	}
	if err := tx.Delete(trustedKey(u.ID)); err != nil {
		return 0, err
	}
	return n, d.recordDistrust(tx, actor, u, "all")
}

func (d *Doors) recordDistrust(tx store.Tx, actor account.Actor, u *account.User, which string) error {
	return d.dir.Record(tx, actor, audit.Event{
		Kind: audit.KindTrustedRemove, Outcome: audit.OK, Principal: u.ID, Name: u.Ref().String(),
		Detail: map[string]string{"trusted_browser": which},
	})
}
