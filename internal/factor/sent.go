package factor

import (
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const (
	// CodeLife is how long a code that was sent is good where the realm says nothing.
	CodeLife = 10 * time.Minute
	// sentDigits is the length of such a code: the throttle protects it, and
	// sentTries.
	sentDigits = 6
	// sentTries is how many wrong codes kill the one that was sent.
	sentTries = 5
)

// Purpose is what a code is sent for.
type Purpose string

const (
	ForLogin  Purpose = "login"  // the second door, or a fresh proof
	ForSetup  Purpose = "setup"  // a method's first code
	ForTarget Purpose = "target" // a new address or number
)

// Message is a code on its way to a person.
type Message struct {
	Method  Name          // Email, SMS or an own method
	To      string        // address, or number; an own method: ""
	User    *account.User // whose
	Code    string
	Expires time.Time // then it need not be sent any more
	For     Purpose
}

// Sender puts messages on their way, in the transaction that makes the code: one that
// is rolled back sends nothing.
type Sender interface {
	// Sends reports whether a method can send anything here: Email needs a mail
	// server, and so on.
	Sends(method Name) bool
	// Send queues a message. The newest code of a person and method takes the place
	// of an older one that is still waiting.
	Send(tx store.Tx, m Message) error
}

// Sendable reports whether a name is of a method whose codes are sent: Email, SMS and
// the own ones of an installation.
func Sendable(method Name) bool {
	switch method {
	case "", Any, TOTP, RecoveryCode, YubiKey, Passkey:
		return false
	}
	return true
}

// sentWay is a method whose codes are made here and sent to where the account says.
type sentWay struct {
	*Factors
	name Name
}

// sentRecord is the method of a person, and the code that is good now.
type sentRecord struct {
	store.Meta
	AddedAt time.Time `json:"added_at,omitzero"`
	UsedAt  time.Time `json:"used_at,omitzero"`
	Code    *sentCode `json:"code,omitempty"`
}

// sentCode is one code that was sent: random, and good once.
type sentCode struct {
	Sum     []byte    `json:"sum"` // MAC of code, person, method and target
	To      string    `json:"to"`
	Expires time.Time `json:"expires"`
	Wrong   int       `json:"wrong,omitempty"`
	Burned  bool      `json:"burned,omitempty"`
}

func sentKey(id principal.ID, method Name) store.Key {
	return store.K(store.PrefixFactor, "sent", id, string(method))
}

func loadSent(tx store.Tx, id principal.ID, method Name) (*sentRecord, error) {
	rec, err := store.Load[sentRecord](tx, sentKey(id, method))
	if errors.Is(err, store.ErrNotFound) {
		return &sentRecord{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load factors: %w", err)
	}
	return rec, nil
}

// targetOf is where the codes of a method go: what the account says, never what a
// request says. None: ErrNoTarget.
func targetOf(u *account.User, method Name) (string, error) {
	to := ""
	switch method {
	case Email:
		to = u.Email
	case SMS:
		to = u.Phone
	default: // the receiver of an own method knows people by their names
		return "", nil
	}
	if to == "" {
		return "", ErrNoTarget
	}
	return to, nil
}

// lifeOf is how long codes of a method are good in a realm.
func lifeOf(realm account.Realm, method Name) time.Duration {
	if life := realm.CodeLife[string(method)]; life > 0 {
		return life
	}
	return CodeLife
}

// send makes a code and queues it.
func (w *sentWay) send(tx store.Tx, u *account.User, to string, why Purpose) (*sentCode, error) {
	if w.sender == nil || !w.sender.Sends(w.name) {
		return nil, ErrCannotSend
	}
	realm, err := w.dir.Realm(tx, u.Realm)
	if err != nil {
		return nil, err
	}
	code := randomDigits(sentDigits)
	sent := &sentCode{To: to, Expires: tx.Now().Add(lifeOf(realm, w.name)), Sum: w.sum(u.ID, to, why, code)}
	err = w.sender.Send(tx, Message{Method: w.name, To: to, User: u, Code: code, Expires: sent.Expires, For: why})
	if err != nil {
		return nil, fmt.Errorf("queue a code: %w", err)
	}
	return sent, nil
}

// sum binds a code to its person, method, target and purpose: what was sent to prove
// an address opens no door.
func (w *sentWay) sum(id principal.ID, to string, why Purpose, code string) []byte {
	sum := secret.MAC(w.codeKey, id[:], []byte(w.name), []byte(to), []byte(why), []byte(code))
	return sum[:]
}

// match compares a text with what was sent and burns it into the record, which the
// caller saves.
func (w *sentWay) match(c *sentCode, id principal.ID, text string, why Purpose, now time.Time) Result {
	if c == nil || !now.Before(c.Expires) {
		return Wrong
	}
	clean, ok := otp.Clean(text, sentDigits)
	if !ok || !hmac.Equal(c.Sum, w.sum(id, c.To, why, clean)) {
		c.Wrong++
		return Wrong
	}
	if c.Burned {
		return Replayed
	}
	if c.Wrong >= sentTries {
		return Wrong
	}
	c.Burned = true
	return Good
}

func (w *sentWay) draft(tx store.Tx, _ principal.Ref, u *account.User, o EnrollOptions) (*Draft, error) {
	if u == nil {
		return nil, ErrNoTarget
	}
	to, err := targetOf(u, w.name)
	if o.Confirmed {
		return w.unasked(err)
	}
	if field, ok := w.field(); ok && o.Target != "" {
		to, err = account.CanonicalTarget(field, o.Target)
	}
	if err != nil {
		return nil, err
	}
	sent, err := w.send(tx, u, to, ForSetup)
	if err != nil {
		return nil, err
	}
	return &Draft{Method: w.name, Sent: sent, Own: o.Target != ""}, nil
}

// unasked is a draft that is active at once: nothing is sent, so nothing was proved, and
// an address that its owner alone calls theirs stays unconfirmed until a code came back.
func (w *sentWay) unasked(noTarget error) (*Draft, error) {
	if noTarget != nil {
		return nil, noTarget
	}
	if w.sender == nil || !w.sender.Sends(w.name) {
		return nil, ErrCannotSend
	}
	return &Draft{Method: w.name}, nil
}

// field is where the account says the method's target.
func (w *sentWay) field() (account.Field, bool) {
	switch w.name {
	case Email:
		return account.EmailField, true
	case SMS:
		return account.PhoneField, true
	}
	return "", false
}

func (w *sentWay) check(tx store.Tx, id principal.ID, d *Draft, p Proof) (Checked, error) {
	u, err := w.dir.ByID(tx, id)
	if err != nil {
		return refused(w.name), err
	}
	if to, err := targetOf(u, w.name); !d.Own && (err != nil || to != d.Sent.To) {
		return refused(w.name), nil // the account says something else meanwhile
	}
	return Checked{Result: w.match(d.Sent, id, p.Code, ForSetup, tx.Now()), Method: w.name, Step: -1}, nil
}

// adopt stores the method. The code that came back, where one was sent, says that the
// address is the person's.
func (w *sentWay) adopt(tx store.Tx, u *account.User, d *Draft, _ int64) error {
	if field, ok := w.field(); ok && d.Own {
		if _, err := w.dir.SetTarget(tx, account.Self(u.ID), u.ID, field, d.Sent.To); err != nil {
			return err
		}
	} else if d.Sent != nil {
		if err := w.cameBack(tx, u, d.Sent.To); err != nil {
			return err
		}
	}
	rec := &sentRecord{AddedAt: tx.Now()}
	if d.Sent != nil {
		rec.UsedAt = tx.Now()
	}
	return store.Save(tx, sentKey(u.ID, w.name), rec, time.Time{})
}

// cameBack notes that a code which was sent there came back.
func (w *sentWay) cameBack(tx store.Tx, u *account.User, to string) error {
	if w.name != Email {
		return nil
	}
	return w.dir.ConfirmAddress(tx, u.ID, to)
}

func (w *sentWay) devices(tx store.Tx, u *account.User) ([]Method, error) {
	rec, err := loadSent(tx, u.ID, w.name)
	if err != nil {
		return nil, err
	}
	m := Method{Name: w.name, AddedAt: rec.AddedAt, LastUsedAt: rec.UsedAt}
	if to, err := targetOf(u, w.name); err == nil {
		m.Target = Mask(to)
	}
	return []Method{m}, nil
}

func (w *sentWay) try(tx store.Tx, u *account.User, p Proof) (Checked, error) {
	rec, err := loadSent(tx, u.ID, w.name)
	if err != nil || rec.Code == nil {
		return refused(w.name), err
	}
	if to, err := targetOf(u, w.name); err != nil || to != rec.Code.To {
		return refused(w.name), nil
	}
	c := Checked{Result: w.match(rec.Code, u.ID, p.Code, ForLogin, tx.Now()), Method: w.name, Step: -1}
	if c.Result != Wrong {
		c.Sent = string(rec.Code.Sum)
	}
	switch c.Result {
	case Replayed:
		return c, nil
	case Good:
		rec.UsedAt = tx.Now()
		if err := w.cameBack(tx, u, rec.Code.To); err != nil {
			return refused(w.name), err
		}
	}
	return c, store.Save(tx, sentKey(u.ID, w.name), rec, time.Time{})
}

func (w *sentWay) remove(tx store.Tx, id principal.ID, device string) (int, error) {
	if device != "" {
		return 0, ErrNoMethod
	}
	return 0, tx.Delete(sentKey(id, w.name))
}

// Send makes a new code of a confirmed method and queues it; the older one is dead.
// It returns where it goes, masked. Who may ask, and how often, is the caller's
// question.
// Errors: ErrNoMethod, ErrCannotSend, ErrNoTarget.
func (f *Factors) Send(tx store.Tx, id principal.ID, method Name) (to string, err error) {
	u, err := f.dir.ByID(tx, id)
	if err != nil {
		return "", err
	}
	if !Sendable(method) || !has(u, method) {
		return "", ErrNoMethod
	}
	w := &sentWay{f, method}
	if to, err = targetOf(u, method); err != nil {
		return "", err
	}
	rec, err := loadSent(tx, id, method)
	if err != nil {
		return "", err
	}
	if rec.Code, err = w.send(tx, u, to, ForLogin); err != nil {
		return "", err
	}
	return Mask(to), store.Save(tx, sentKey(id, method), rec, time.Time{})
}

// Mask shows enough of an address or a number for its owner to know it, and too
// little for others to learn it: a•••@example.com, •••• 89.
func Mask(target string) string {
	if local, domain, ok := strings.Cut(target, "@"); ok {
		first := ""
		for _, r := range local {
			first = string(r)
			break
		}
		return first + "•••@" + domain
	}
	if len(target) < 6 {
		return strings.Repeat("•", min(len(target), 4))
	}
	return "•••• " + target[len(target)-2:]
}

// randomDigits draws each code with the same probability.
func randomDigits(n int) string {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
	code, err := rand.Int(rand.Reader, limit)
	if err != nil {
		panic(err) // crypto/rand never fails: the program ends before
	}
	return fmt.Sprintf("%0*d", n, code)
}
