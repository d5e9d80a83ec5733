package session

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const (
	keyAge   = 90 * 24 * time.Hour // then a new one signs
	keyGrace = time.Hour           // how long a key that signs no more stays at least; tokens live 15 min
	maxKeys  = 8                   // of one kind; rotating more often than that in an hour ends tokens early
	anyAge   = time.Duration(math.MinInt64)
)

// use is what a key signs. Each has keys of its own, so that no token of one kind
// can be shown as another's.
type use int

const (
	useAccess use = iota
	useAssertion
	useAssertionES256
	uses
)

var useNames = [uses]string{"access", "assertion", "assertion-es256"}

func (u use) key() []byte { return store.K(store.PrefixKeys, useNames[u]) }

// alg is the algorithm of RFC 7518 or RFC 8037 that the use's keys sign with.
func (u use) alg() string {
	if u == useAssertionES256 {
		return "ES256"
	}
	return "EdDSA"
}

// keySet is the record of all keys of one use, newest first: one record, so that
// a rotation is one write, and two processes that start at once agree.
type keySet struct {
	store.Meta
	Keys []storedKey `json:"keys"`
}

type storedKey struct {
	ID      string    `json:"id"`
	Private []byte    `json:"private"` // PKCS #8; the store seals it
	Created time.Time `json:"created"`
	Retired time.Time `json:"retired,omitzero"` // when the next one took its place
}

// signingKey is a key ready to use.
type signingKey struct {
	id      string
	private crypto.Signer
}

// keyring is what signs and verifies now, newest first per use.
type keyring [uses][]signingKey

// keys caches the keyring until a commit concerns it.
type keys struct {
	store store.Store
	audit *audit.Log

	mu         sync.Mutex
	generation int
	ring       *keyring
}

func (k *keys) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.generation++
	k.ring = nil
}

func (k *keys) cached() (*keyring, int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ring, k.generation
}

// get returns the keyring; missing keys are made.
func (k *keys) get(ctx context.Context) (*keyring, error) {
	ring, generation := k.cached()
	if ring != nil {
		return ring, nil
	}
	missing := false
	load := func(tx store.Tx) (err error) {
		ring, missing, err = loadKeys(tx)
		return err
	}
	err := k.store.View(ctx, load)
	if err == nil && missing {
		if err = k.store.Update(ctx, func(tx store.Tx) error { return makeKeys(tx, 0) }); err == nil {
			_, generation = k.cached()
			err = k.store.View(ctx, load)
		}
	}
	if err == nil && missing {
		err = errors.New("keys that were just made are gone")
	}
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.generation == generation {
		k.ring = ring
	}
	return ring, nil
}

func loadKeys(tx store.Tx) (ring *keyring, missing bool, err error) {
	ring = new(keyring)
	for u := range uses {
		set, err := store.Load[keySet](tx, u.key())
		if errors.Is(err, store.ErrNotFound) {
			missing = true
			continue
		}
		if err != nil {
			return nil, false, err
		}
		for _, s := range set.Keys {
			private, err := x509.ParsePKCS8PrivateKey(s.Private)
			signer, ok := private.(crypto.Signer)
			if err != nil || !ok {
				return nil, false, fmt.Errorf("key %s cannot be read", s.ID)
			}
			ring[u] = append(ring[u], signingKey{s.ID, signer})
		}
	}
	return ring, missing, nil
}

// makeKeys makes the first key of each use that has none and, with an age that is
// not 0, a new one where the current is at least that old.
func makeKeys(tx store.Tx, age time.Duration) error {
	for u := range uses {
		set, err := store.Load[keySet](tx, u.key())
		switch {
		case errors.Is(err, store.ErrNotFound):
			set = &keySet{}
		case err != nil:
			return err
		case age == 0 || tx.Now().Sub(set.Keys[0].Created) < age:
			continue
		}
		if err := set.rotate(u, tx.Now()); err != nil {
			return err
		}
		if err := store.Save(tx, u.key(), set, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// rotate puts a new key in front. The one before stays until the next rotation,
// older ones as long as something that they signed may live.
func (s *keySet) rotate(u use, now time.Time) error {
	fresh, err := newKey(u, now)
	if err != nil {
		return err
	}
	if len(s.Keys) > 0 {
		s.Keys[0].Retired = now
	}
	s.Keys = slices.Insert(s.Keys, 0, fresh)
	for len(s.Keys) > 2 && (len(s.Keys) > maxKeys || now.Sub(s.Keys[len(s.Keys)-1].Retired) >= keyGrace) {
		s.Keys = s.Keys[:len(s.Keys)-1]
	}
	return nil
}

func newKey(u use, now time.Time) (storedKey, error) {
	var private crypto.Signer
	var err error
	if u == useAssertionES256 {
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return storedKey{}, fmt.Errorf("make signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return storedKey{}, fmt.Errorf("encode signing key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return storedKey{}, fmt.Errorf("encode signing key: %w", err)
	}
	sum := sha256.Sum256(public)
	return storedKey{ID: base64.RawURLEncoding.EncodeToString(sum[:12]), Private: der, Created: now}, nil
}

// rotate replaces keys of at least this age (not 0), if there are any.
func (k *keys) rotate(ctx context.Context, age time.Duration) error {
	due := false
	err := k.store.View(ctx, func(tx store.Tx) error {
		for u := range uses {
			set, err := store.Load[keySet](tx, u.key())
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			due = due || tx.Now().Sub(set.Keys[0].Created) >= age
		}
		return nil
	})
	if err != nil || !due {
		return err
	}
	return k.store.Update(ctx, func(tx store.Tx) error {
		if err := makeKeys(tx, age); err != nil {
			return err
		}
		return k.audit.Record(tx, audit.Event{Kind: audit.KindKeys, Outcome: audit.OK, Cause: "rotated"})
	})
}

// RotateKeys makes a new signing key of each use, at once: for a suspicion. That
// what the old ones signed is good until it expires, as after each rotation, is
// not wanted then: rotate, and revoke the sessions. By itself it happens when keys
// are 90 days old.
func (r *Registry) RotateKeys(ctx context.Context) error {
	if _, err := r.keys.get(ctx); err != nil { // the first ones
		return err
	}
	if err := r.keys.rotate(ctx, anyAge); err != nil {
		return fmt.Errorf("rotate signing keys: %w", err)
	}
	return nil
}

type jwk struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y,omitempty"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
}

// JWKS is the public half of all signing keys with which something living may be
// signed, as JSON (RFC 7517; EdDSA as in RFC 8037).
func (r *Registry) JWKS() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	ring, err := r.keys.get(ctx)
	if err != nil {
		return nil, err
	}
	set := struct {
		Keys []jwk `json:"keys"`
	}{}
	for u, all := range ring {
		for _, k := range all {
			j, err := k.jwk()
			if err != nil {
				return nil, err
			}
			j.ID, j.Use, j.Algorithm = k.id, "sig", use(u).alg()
			set.Keys = append(set.Keys, j)
		}
	}
	return json.Marshal(set)
}

func (k signingKey) jwk() (jwk, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	switch public := k.private.Public().(type) {
	case ed25519.PublicKey:
		return jwk{KeyType: "OKP", Curve: "Ed25519", X: b64(public)}, nil
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4 ‖ x ‖ y
		if err != nil || len(point) != 65 {
			return jwk{}, errors.New("signing key is not on P-256")
		}
		return jwk{KeyType: "EC", Curve: "P-256", X: b64(point[1:33]), Y: b64(point[33:])}, nil
	}
	return jwk{}, errors.New("signing key of an unknown type")
}
