package store

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"time"
)

// Keyring encrypts with authentication, as secret.Keyring does: ad is bound to
// the result, and Open answers an error for anything that Seal did not make with
// the same ad and a key that it holds.
type Keyring interface {
	Seal(ad, plain []byte) []byte
	Open(ad, sealed []byte) ([]byte, error)
}

// SealedOptions are what [OpenSealed] needs besides the engine.
type SealedOptions struct {
	Keyring Keyring          // required
	Clock   func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: silent

	// NoTTL keeps expired records in the engine for good. For tests with a clock
	// of their own: the engine's broom goes by the real one.
	NoTTL bool

	// Observe hears of each View and Update when it ends: how long its caller
	// waited (for the turn, fn, the commit and After together), and what the
	// store failed at, if it did; see failure. It is quick. Nil: nobody hears,
	// and nothing is measured.
	Observe func(op Op, took time.Duration, failure error)
}

// Op is one of the two ways into a store.
type Op string

const (
	OpView   Op = "view"
	OpUpdate Op = "update"
)

// broom is how much longer the engine keeps a record than we show it, so that a
// clock that was set wrong for a while loses nothing.
const broom = 48 * time.Hour

// SealedStore is a [Store] over an engine that it does not trust with values:
// each is encrypted, together with its expiry and bound to its key's name, before
// the engine sees it. Altered, moved or foreign values are errors, never answers.
// What it does not give: whoever writes to the engine can delete records or bring
// back old ones.
//
// A record has expired when its sealed expiry is not after Tx.Now, exactly, in
// Get, Scan and Watch.
type SealedStore struct {
	engine  Store
	keyring Keyring
	clock   func() time.Time
	log     *slog.Logger
	noTTL   bool
	observe func(op Op, took time.Duration, failure error)
	root    []byte
}

var _ Store = (*SealedStore)(nil)

// checkRecord proves that the master key and the store belong together, and holds
// the root of derived keys. It is sealed like any value.
type checkRecord struct {
	Meta
	Store string `json:"store"`
	Root  []byte `json:"root"` // 32 random bytes
}

const (
	checkName = "sallyport"
	rootSize  = 32
)

func checkKey() []byte { return K(PrefixMeta, "check") }

// OpenSealed wraps an engine. An empty engine gets a check record; one that holds
// records but none that this keyring can prove to be ours is refused with
// ErrWrongKey, and nothing is written. On an error the engine stays open and the
// caller's.
func OpenSealed(ctx context.Context, engine Store, opt SealedOptions) (*SealedStore, error) {
	if opt.Keyring == nil {
		return nil, errors.New("open sealed store: no keyring")
	}
	s := &SealedStore{engine: engine, keyring: opt.Keyring, clock: opt.Clock, log: opt.Logger, noTTL: opt.NoTTL, observe: opt.Observe}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	empty := false
	err := s.View(ctx, func(tx Tx) (err error) {
		empty, err = s.readCheck(tx)
		return err
	})
	if err == nil && empty {
		err = s.Update(ctx, s.writeCheck)
	}
	if err != nil {
		return nil, fmt.Errorf("open sealed store: %w", err)
	}
	return s, nil
}

// readCheck takes the root from the check record, or finds the engine empty.
func (s *SealedStore) readCheck(tx Tx) (empty bool, err error) {
	check, err := Load[checkRecord](tx, checkKey())
	switch {
	case err == nil && check.Store == checkName && len(check.Root) == rootSize:
		s.root = check.Root
		return false, nil
	case errors.Is(err, ErrNotFound):
		for _, err := range tx.(*sealedTx).tx.Scan(nil, nil) {
			if err != nil {
				return false, err
			}
			return false, fmt.Errorf("%w: it holds records but no check record that says whose they are; it was not made by sallyport, or is damaged (nothing was changed)", ErrWrongKey)
		}
		return true, nil
	case err == nil, errors.Is(err, errUnsealed):
		return false, fmt.Errorf("%w: its check record does not open; give the key that it was made with, or restore a backup (nothing was changed)", ErrWrongKey)
	}
	return false, err
}

// writeCheck looks again: another node may have been first.
func (s *SealedStore) writeCheck(tx Tx) error {
	empty, err := s.readCheck(tx)
	if err != nil || !empty {
		return err
	}
	root := make([]byte, rootSize)
	rand.Read(root) // never fails
	if err := Save(tx, checkKey(), &checkRecord{Store: checkName, Root: root}, time.Time{}); err != nil {
		return err
	}
	s.root = root
	return nil
}

// Derive gives 32 bytes for one purpose, always the same for this store and
// unknown to whoever reads the engine. They survive a change of the master key:
// for MACs over what is stored.
func (s *SealedStore) Derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, s.root, nil, "sallyport store "+purpose, 32)
	if err != nil {
		panic(err) // only for lengths over 8160 bytes
	}
	return key
}

// View implements [Store].
func (s *SealedStore) View(ctx context.Context, fn func(Tx) error) error {
	return s.run(ctx, OpView, s.engine.View, fn)
}

// Update implements [Store].
func (s *SealedStore) Update(ctx context.Context, fn func(Tx) error) error {
	return s.run(ctx, OpUpdate, s.engine.Update, fn)
}

// Watch implements [Store]. A change that cannot be unsealed is told as deleted:
// whoever followed the record must let go of it.
func (s *SealedStore) Watch(prefix []byte, fn func(Change)) (stop func()) {
	return s.engine.Watch(prefix, func(c Change) {
		if c.Deleted {
			fn(Change{Key: c.Key, Deleted: true, All: c.All})
			return
		}
		value, expires, err := s.open(c.Key, c.Value)
		if err != nil {
			s.log.Error("a changed record cannot be unsealed", "key", keyName(c.Key), "error", err)
		}
		if err != nil || expired(expires, s.clock()) {
			fn(Change{Key: c.Key, Deleted: true})
			return
		}
		fn(Change{Key: c.Key, Value: value, Expires: expires})
	})
}

// Close implements [Store]; it closes the engine.
func (s *SealedStore) Close() error { return s.engine.Close() }

func (s *SealedStore) wrap(tx Tx) *sealedTx {
	return &sealedTx{store: s, tx: tx, now: s.clock()}
}

type sealedTx struct {
	store  *SealedStore
	tx     Tx
	now    time.Time
	failed error // the last error that its methods answered
}

func (t *sealedTx) Now() time.Time          { return t.now }
func (t *sealedTx) After(fn func())         { t.tx.After(fn) }
func (t *sealedTx) Delete(key []byte) error { return t.note(t.tx.Delete(key)) }

func (t *sealedTx) Get(key []byte) ([]byte, error) {
	sealed, err := t.tx.Get(key)
	if err != nil {
		return nil, t.note(err)
	}
	value, expires, err := t.store.open(key, sealed)
	if err != nil {
		return nil, t.note(err)
	}
	if expired(expires, t.now) {
		return nil, ErrNotFound
	}
	return value, nil
}

func (t *sealedTx) Put(key, value []byte, expires time.Time) error {
	if len(value) > MaxValue {
		return fmt.Errorf("%w: a value of %d bytes; the limit is %d", ErrTooLarge, len(value), MaxValue)
	}
	ttl := time.Time{}
	if !expires.IsZero() && !t.store.noTTL {
		ttl = expires.Add(broom)
	}
	return t.note(t.tx.Put(key, t.store.seal(key, value, expires), ttl))
}

func (t *sealedTx) Scan(prefix, from []byte) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for item, err := range t.tx.Scan(prefix, from) {
			if err == nil {
				item.Value, item.Expires, err = t.store.open(item.Key, item.Value)
			}
			if err != nil {
				yield(Item{}, t.note(err))
				return
			}
			if expired(item.Expires, t.now) {
				continue
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

func expired(expires, now time.Time) bool { return !expires.IsZero() && !expires.After(now) }

// What is sealed: one byte for the layout, the expiry in nanoseconds, the value.
const (
	layout     = 1
	headerSize = 1 + 8
	never      = math.MaxInt64
)

var errUnsealed = errors.New("record cannot be unsealed: altered, moved, or sealed with another key")

func (s *SealedStore) seal(key, value []byte, expires time.Time) []byte {
	plain := make([]byte, headerSize, headerSize+len(value))
	plain[0] = layout
	nanos := int64(never)
	if !expires.IsZero() {
		nanos = min(unixNano(expires), never-1)
	}
	binary.BigEndian.PutUint64(plain[1:], uint64(nanos))
	return s.keyring.Seal(key, append(plain, value...))
}

func (s *SealedStore) open(key, sealed []byte) (value []byte, expires time.Time, err error) {
	plain, err := s.keyring.Open(key, sealed)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%s: %w (%w)", keyName(key), errUnsealed, err)
	}
	if len(plain) < headerSize || plain[0] != layout {
		return nil, time.Time{}, fmt.Errorf("%s: %w", keyName(key), errUnsealed)
	}
	if nanos := int64(binary.BigEndian.Uint64(plain[1:])); nanos != never {
		expires = time.Unix(0, nanos)
	}
	return plain[headerSize:], expires, nil
}

// keyName is what a log may say of a key: the room. Parts may hold names and
// addresses.
func keyName(key []byte) string {
	return fmt.Sprintf("record of %q", key[:min(len(key), 2)])
}
