package secret

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// Key is a master key of 256 bits. It prints [secret]. Never compare it with
// ==; KeyIDOf tells keys apart.
type Key [32]byte

func (k Key) String() string               { return redacted }
func (k Key) GoString() string             { return redacted }
func (k Key) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, redacted) }
func (k Key) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// KeyID names a key without telling anything about it: the first four bytes of
// an HKDF of the key. It stands in clear in front of everything sealed.
type KeyID uint32

// KeyIDOf returns the id of a key.
func KeyIDOf(k Key) KeyID {
	return KeyID(binary.BigEndian.Uint32(Derive(k[:], "sallyport key id")))
}

// maxKeyText bounds the text of a master key, in bytes.
const maxKeyText = 1024

// ParseMasterKey reads a key of 32 bytes in hexadecimal or base64 (either
// alphabet, padding optional), with white space around it. The errors never
// repeat the text. A key of zeros is refused.
func ParseMasterKey(text []byte) (Key, error) {
	if len(text) > maxKeyText {
		return Key{}, errors.New("the master key is too long: 32 bytes in base64 or hexadecimal are expected")
	}
	s := strings.TrimSpace(string(text))
	if s == "" {
		return Key{}, errors.New("the master key is empty: 32 bytes in base64 or hexadecimal are expected")
	}
	raw, err := hex.DecodeString(s)
	if err != nil {
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
		raw, err = base64.RawStdEncoding.Strict().DecodeString(plain)
	}
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return Key{}, errors.New("the master key is neither base64 nor hexadecimal: 32 bytes are expected")
	}
	if len(raw) != len(Key{}) {
		return Key{}, fmt.Errorf("the master key has %d bytes: 32 bytes in base64 or hexadecimal are expected", len(raw))
	}
	if Key(raw) == (Key{}) {
		return Key{}, errors.New("the master key is all zeros: make one with a random generator")
	}
	return Key(raw), nil
}

// NewMasterKeyText returns a random key in base64 with a line end, as it
// stands in a key file.
func NewMasterKeyText() string {
	var k Key
	_, _ = rand.Read(k[:]) // never fails: the program ends instead
	return base64.StdEncoding.EncodeToString(k[:]) + "\n"
}

// Derive returns 32 bytes that depend on root and purpose (HKDF-SHA-256, RFC
// 5869). Whoever knows them learns nothing about root or other purposes. root
// must have full entropy: it is never a password.
func Derive(root []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, root, nil, purpose, 32)
	if err != nil {
		panic("secret: derive 32 bytes: " + err.Error()) // only a longer key can fail
	}
	return key
}

// MAC returns HMAC-SHA-256 over the parts, each with its length in front:
// ("a", "bc") and ("ab", "c") have nothing in common.
func MAC(key []byte, parts ...[]byte) [32]byte {
	h := hmac.New(sha256.New, key)
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	return [32]byte(h.Sum(nil))
}

var (
	// ErrSealed: the value cannot be opened. It was cut, changed, moved to
	// another place (additional data), or sealed under another key.
	ErrSealed = errors.New("sealed value cannot be opened")
	// ErrUnknownKey: the value was sealed under a key that the ring does not
	// hold. It is an ErrSealed too.
	ErrUnknownKey = fmt.Errorf("%w: it was sealed under another key", ErrSealed)
)

const (
	// sealVersion is the first byte of everything sealed.
	sealVersion = 1
	// sealHeader is version and key id, authenticated but in clear.
	sealHeader = 1 + 4
	// SealOverhead is how much longer a sealed value is, in bytes.
	SealOverhead = sealHeader + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
)

// Keyring seals and opens values. It seals with the current key and opens with
// every key it holds. It may be used by many goroutines at once.
type Keyring struct {
	current KeyID
	keys    map[KeyID]Key
	aeads   map[KeyID]cipher.AEAD
}

// NewKeyring returns a ring for purpose "" (see For). Each key must stand under
// its own id (KeyIDOf), and current must be among them.
func NewKeyring(current KeyID, keys map[KeyID]Key) (*Keyring, error) {
	if _, ok := keys[current]; !ok {
		return nil, fmt.Errorf("the current key %08x is not in the ring", uint32(current))
	}
	for id, key := range keys {
		if KeyIDOf(key) != id {
			return nil, fmt.Errorf("the key under id %08x is another one", uint32(id))
		}
	}
	return newKeyring(current, keys, "")
}

// KeyringOf returns the ring of a current key and older ones that may still
// open.
func KeyringOf(current Key, older ...Key) (*Keyring, error) {
	keys := map[KeyID]Key{KeyIDOf(current): current}
	for _, key := range older {
		keys[KeyIDOf(key)] = key
	}
	return NewKeyring(KeyIDOf(current), keys)
}

func newKeyring(current KeyID, keys map[KeyID]Key, purpose string) (*Keyring, error) {
	r := &Keyring{current: current, keys: make(map[KeyID]Key, len(keys)), aeads: make(map[KeyID]cipher.AEAD, len(keys))}
	for id, key := range keys {
		aead, err := chacha20poly1305.NewX(Derive(key[:], "sallyport seal v1: "+purpose))
		if err != nil {
			return nil, fmt.Errorf("prepare key %08x: %w", uint32(id), err)
		}
		r.keys[id], r.aeads[id] = key, aead
	}
	return r, nil
}

// For returns a ring of the same keys whose subkeys are for this purpose alone:
// what one ring sealed no other opens.
func (r *Keyring) For(purpose string) (*Keyring, error) {
	return newKeyring(r.current, r.keys, purpose)
}

// Current returns the id of the key that seals.
func (r *Keyring) Current() KeyID { return r.current }

// Holds reports whether the ring can open what was sealed under this key.
func (r *Keyring) Holds(id KeyID) bool { _, ok := r.keys[id]; return ok }

// Seal encrypts plain with XChaCha20-Poly1305 under a random nonce. ad is
// bound to the result without being in it: pass the place where the value
// stands, and nobody can move it elsewhere.
func (r *Keyring) Seal(ad, plain []byte) []byte {
	sealed := make([]byte, sealHeader+chacha20poly1305.NonceSizeX, len(plain)+SealOverhead)
	sealed[0] = sealVersion
	binary.BigEndian.PutUint32(sealed[1:], uint32(r.current))
	nonce := sealed[sealHeader:]
	_, _ = rand.Read(nonce) // never fails: the program ends instead
	return r.aeads[r.current].Seal(sealed, nonce, plain, boundData(sealed[:sealHeader], ad))
}

// Open returns what Seal was given with the same ad. Errors: ErrSealed,
// ErrUnknownKey.
func (r *Keyring) Open(ad, sealed []byte) ([]byte, error) {
	id, err := SealedUnder(sealed)
	if err != nil {
		return nil, err
	}
	aead, ok := r.aeads[id]
	if !ok {
		return nil, ErrUnknownKey
	}
	header, nonce := sealed[:sealHeader], sealed[sealHeader:sealHeader+chacha20poly1305.NonceSizeX]
	plain, err := aead.Open(nil, nonce, sealed[sealHeader+len(nonce):], boundData(header, ad))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// SealedUnder returns the id of the key that a value claims to be sealed
// under; only Open proves it. Errors: ErrSealed.
func SealedUnder(sealed []byte) (KeyID, error) {
	if len(sealed) < SealOverhead || sealed[0] != sealVersion {
		return 0, ErrSealed
	}
	return KeyID(binary.BigEndian.Uint32(sealed[1:])), nil
}

// boundData is unambiguous because the header's length is fixed.
func boundData(header, ad []byte) []byte {
	return append(append(make([]byte, 0, len(header)+len(ad)), header...), ad...)
}
