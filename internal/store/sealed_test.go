package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/badger"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func memoryEngine(t *testing.T) store.Store {
	t.Helper()
	engine, err := badger.Open(t.Context(), badger.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	return engine
}

func mustUpdate(t *testing.T, s store.Store, fn func(store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s store.Store, key []byte) (value []byte, err error) {
	t.Helper()
	viewErr := s.View(t.Context(), func(tx store.Tx) error {
		value, err = tx.Get(key)
		return nil
	})
	if viewErr != nil {
		t.Fatal(viewErr)
	}
	return value, err
}

// dump is all that an engine holds.
func dump(t *testing.T, engine store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := engine.View(t.Context(), func(tx store.Tx) error {
		for item, err := range tx.Scan(nil, nil) {
			if err != nil {
				return err
			}
			all[string(item.Key)] = string(item.Value) + item.Expires.String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Somebody who can write to the engine (a backup, a database account) flips bits,
// cuts values, or puts a value of his own. Every change is an error, none an answer.
func TestTamperedValueIsAnError(t *testing.T) {
	engine := memoryEngine(t)
	s := storetest.Seal(t, engine, storetest.NewKeyring(t), nil)
	key := store.K(store.PrefixFactor, "alice")
	mustUpdate(t, s, func(tx store.Tx) error { return tx.Put(key, []byte("seed of alice"), time.Time{}) })
	sealed, err := get(t, engine, key)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("alice")) {
		t.Fatal("the engine sees the value")
	}
	forged := [][]byte{nil, {}, []byte("plain"), sealed[:len(sealed)-1], sealed[1:], append(bytes.Clone(sealed), 0), make([]byte, len(sealed))}
	for bit := range len(sealed) * 8 {
		flipped := bytes.Clone(sealed)
		flipped[bit/8] ^= 1 << (bit % 8)
		forged = append(forged, flipped)
	}
	foreign := storetest.NewKeyring(t)
	forged = append(forged, foreign.Seal(key, append(make([]byte, 9), "seed of mallory"...)))
	for i, f := range forged {
		mustUpdate(t, engine, func(tx store.Tx) error { return tx.Put(key, f, time.Time{}) })
		if value, err := get(t, s, key); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("forgery %d reads as %q, %v", i, value, err)
		}
		wantScanError(t, s, store.PrefixFactor)
	}
	mustUpdate(t, engine, func(tx store.Tx) error { return tx.Put(key, sealed, time.Time{}) })
	if value, err := get(t, s, key); err != nil || string(value) != "seed of alice" {
		t.Errorf("untouched: %q, %v", value, err)
	}
}

func wantScanError(t *testing.T, s store.Store, p store.Prefix) {
	t.Helper()
	err := s.View(t.Context(), func(tx store.Tx) error {
		for item, err := range tx.Scan(store.KPrefix(p), nil) {
			if err != nil {
				return err
			}
			t.Errorf("Scan yields %q", item.Value)
		}
		return nil
	})
	if err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Scan: %v", err)
	}
}

// Mallory copies her own password record over alice's.
func TestMovedValueIsAnError(t *testing.T) {
	engine := memoryEngine(t)
	s := storetest.Seal(t, engine, storetest.NewKeyring(t), nil)
	alice, mallory := store.K(store.PrefixAccount, "alice"), store.K(store.PrefixAccount, "mallory")
	mustUpdate(t, s, func(tx store.Tx) error {
		return errors.Join(tx.Put(alice, []byte("a"), time.Time{}), tx.Put(mallory, []byte("m"), time.Time{}))
	})
	sealed, err := get(t, engine, mallory)
	if err != nil {
		t.Fatal(err)
	}
	mustUpdate(t, engine, func(tx store.Tx) error { return tx.Put(alice, sealed, time.Time{}) })
	if value, err := get(t, s, alice); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("alice reads as %q, %v", value, err)
	}
}

// An expired link is given a longer life in the engine: its own expiry is sealed.
func TestEngineCannotProlong(t *testing.T) {
	engine, clock := memoryEngine(t), storetest.NewClock(noon)
	s := storetest.Seal(t, engine, storetest.NewKeyring(t), clock.Now)
	key := store.K(store.PrefixLogin, "link")
	mustUpdate(t, s, func(tx store.Tx) error { return tx.Put(key, []byte("x"), noon.Add(time.Minute)) })
	sealed, err := get(t, engine, key)
	if err != nil {
		t.Fatal(err)
	}
	mustUpdate(t, engine, func(tx store.Tx) error { return tx.Put(key, sealed, noon.AddDate(10, 0, 0)) })
	clock.Advance(time.Minute)
	if value, err := get(t, s, key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get = %q, %v", value, err)
	}
}

// What cannot be unsealed is told to watchers as gone, and logged without a name.
func TestWatchersLetGoOfForgeries(t *testing.T) {
	engine := memoryEngine(t)
	var log bytes.Buffer
	s, err := store.OpenSealed(t.Context(), engine, store.SealedOptions{Keyring: storetest.NewKeyring(t), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	var told []store.Change
	defer s.Watch(store.KPrefix(store.PrefixSession), func(c store.Change) { told = append(told, c) })()
	key := store.K(store.PrefixSession, "alice@example.com")
	mustUpdate(t, engine, func(tx store.Tx) error { return tx.Put(key, []byte("forged"), time.Time{}) })
	if len(told) != 1 || !told[0].Deleted || told[0].Value != nil || !bytes.Equal(told[0].Key, key) {
		t.Errorf("told %+v", told)
	}
	if !strings.Contains(log.String(), "level=ERROR") || strings.Contains(log.String(), "alice") {
		t.Errorf("log: %s", log.String())
	}
}

// A lost master key was replaced by a new one, or two directories were mixed up.
// Before: the gateway started, found nobody, and offered the setup page.
func TestWrongKeyIsRefusedAndNothingWritten(t *testing.T) {
	engine := memoryEngine(t)
	right := storetest.NewKeyring(t)
	s := storetest.Seal(t, engine, right, nil)
	key := store.K(store.PrefixAccount, "alice")
	mustUpdate(t, s, func(tx store.Tx) error { return tx.Put(key, []byte("a"), time.Time{}) })
	before := dump(t, engine)
	for range 3 {
		_, err := store.OpenSealed(t.Context(), engine, store.SealedOptions{Keyring: storetest.NewKeyring(t)})
		if !errors.Is(err, store.ErrWrongKey) || !strings.Contains(err.Error(), "restore a backup") {
			t.Errorf("OpenSealed: %v", err)
		}
	}
	if after := dump(t, engine); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("something was written")
	}
	again := storetest.Seal(t, engine, right, nil)
	if value, err := get(t, again, key); err != nil || string(value) != "a" {
		t.Errorf("with the right key: %q, %v", value, err)
	}
	if _, err := store.OpenSealed(t.Context(), engine, store.SealedOptions{}); err == nil {
		t.Error("a store without a keyring was opened")
	}
}

// The check record was deleted, or the database is another program's.
func TestRecordsWithoutCheckAreRefused(t *testing.T) {
	keyring := storetest.NewKeyring(t)
	for name, key := range map[string][]byte{"ours": store.K(store.PrefixAccount, "alice"), "foreign": []byte("foreign"), "first": {0}} {
		engine := memoryEngine(t)
		mustUpdate(t, engine, func(tx store.Tx) error { return tx.Put(key, keyring.Seal(key, []byte("x")), time.Time{}) })
		before := dump(t, engine)
		if _, err := store.OpenSealed(t.Context(), engine, store.SealedOptions{Keyring: keyring}); !errors.Is(err, store.ErrWrongKey) {
			t.Errorf("%s: %v", name, err)
		}
		if after := dump(t, engine); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("%s: something was written", name)
		}
	}
}

// Derived keys are of the store, not of the master key: rotating that must not
// log everybody out.
func TestDerivedKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	oldKey, newKey := masterKey(t), masterKey(t)
	first := ring(t, oldKey)
	s := storetest.OpenDir(t, dir, first, nil)
	cookies := s.Derive("cookies")
	if len(cookies) != 32 || bytes.Equal(cookies, s.Derive("names")) || !bytes.Equal(cookies, s.Derive("cookies")) {
		t.Errorf("Derive: %x", cookies)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = storetest.OpenDir(t, dir, ring(t, newKey, oldKey), nil)
	if !bytes.Equal(cookies, s.Derive("cookies")) {
		t.Error("another master key derives other keys")
	}
	if bytes.Equal(cookies, storetest.Open(t, nil).Derive("cookies")) {
		t.Error("two stores derive the same keys")
	}
}

func masterKey(t *testing.T) secret.Key {
	t.Helper()
	key, err := secret.ParseMasterKey([]byte(secret.NewMasterKeyText()))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ring(t *testing.T, current secret.Key, older ...secret.Key) *secret.Keyring {
	t.Helper()
	keyring, err := secret.KeyringOf(current, older...)
	if err != nil {
		t.Fatal(err)
	}
	return keyring
}

// The engine's broom comes two days later, and not at all under a test clock.
func TestEngineExpiry(t *testing.T) {
	until := time.Now().Add(time.Hour).Round(time.Second)
	key := store.K(store.PrefixLogin, "x")
	for clock, want := range map[bool]time.Time{false: until.Add(48 * time.Hour), true: {}} {
		engine := memoryEngine(t)
		s, err := store.OpenSealed(t.Context(), engine, store.SealedOptions{Keyring: storetest.NewKeyring(t), NoTTL: clock})
		if err != nil {
			t.Fatal(err)
		}
		mustUpdate(t, s, func(tx store.Tx) error { return tx.Put(key, nil, until) })
		err = engine.View(t.Context(), func(tx store.Tx) error {
			for item := range tx.Scan(key, nil) {
				if !item.Expires.Equal(want) {
					t.Errorf("engine expiry %v, want %v", item.Expires, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A store that fails while it is opened is an error of its own, not a wrong key.
func TestEngineFailureIsNotAWrongKey(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store.OpenSealed(ctx, memoryEngine(t), store.SealedOptions{Keyring: storetest.NewKeyring(t)})
	if !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrWrongKey) {
		t.Errorf("OpenSealed: %v", err)
	}
}
