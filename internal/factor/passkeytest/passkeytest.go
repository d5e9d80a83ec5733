// Package passkeytest is an authenticator in software, for tests: it answers the options
// of navigator.credentials.create and get as a browser with a passkey does (WebAuthn Level
// 3, without attestation), and misbehaves on demand. It shares no code with what judges
// its answers.
//
//	a := passkeytest.New("https://auth.example.com")
//	made := a.Create(t, options)   // the JSON of PublicKeyCredential.toJSON
//	signed := a.Get(t, options)
package passkeytest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"testing"
)

// Authenticator holds passkeys, and is the browser before it. The exported fields are
// what tests change; zero of all but Origin is an honest authenticator that verifies the
// person, and whose keys are bound to it. It is not safe for concurrent use.
type Authenticator struct {
	Origin string // of the page that asks

	Unverified      bool     // the person was not verified (flag UV)
	Absent          bool     // nobody touched it (flag UP)
	Synced          bool     // keys may be copied (flags BE and BS)
	NotDiscoverable bool     // answers name nobody
	Uncounted       bool     // the counter is 0 always, as with synchronised keys
	RPID            string   // binds to another host than the options say
	Challenge       string   // signs another challenge, in base64url
	Handle          []byte   // names another person
	Type            string   // another ceremony, such as webauthn.get
	CrossOrigin     bool     // the page stands in a foreign one
	Key             int      // what new keys are: ES256 (0), EdDSA, RS256
	Algorithm       int      // what new keys say that they are; 0: what they are
	Bits            int      // of RSA keys; 0: 2048
	Broken          bool     // signatures are of another key
	Transports      []string // how it can be reached; none: it is built in

	keys []*Passkey // newest last
}

// Passkey is one credential. Counter is that of the last signature.
type Passkey struct {
	ID      []byte
	RPID    string
	User    []byte
	Counter uint32
	alg     int
	key     crypto.Signer
}

// Algorithms of keys (RFC 9053, RFC 8812).
const (
	ES256 = -7
	EdDSA = -8
	RS256 = -257
)

// New returns an authenticator in front of a page.
func New(origin string) *Authenticator { return &Authenticator{Origin: origin} }

// Keys are the passkeys that it holds, oldest first. A test may change them.
func (a *Authenticator) Keys() []*Passkey { return a.keys }

// Copy is a second authenticator with the same keys: what a thief makes.
func (a *Authenticator) Copy() *Authenticator {
	b := *a
	b.keys = nil
	for _, k := range a.keys {
		same := *k
		b.keys = append(b.keys, &same)
	}
	return &b
}

// Options are those of either ceremony, as far as an authenticator reads them.
type Options struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		RPID      string `json:"rpId"`
		RP        struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"rp"`
		User struct {
			ID          string `json:"id"`
			Name        string `json:"name"`
			DisplayName string `json:"displayName"`
		} `json:"user"`
		Params []struct {
			Alg int `json:"alg"`
		} `json:"pubKeyCredParams"`
		Exclude []struct {
			ID string `json:"id"`
		} `json:"excludeCredentials"`
		Allow []struct {
			ID         string   `json:"id"`
			Transports []string `json:"transports"`
		} `json:"allowCredentials"`
		Selection struct {
			ResidentKey      string `json:"residentKey"`
			UserVerification string `json:"userVerification"`
		} `json:"authenticatorSelection"`
		UserVerification string `json:"userVerification"`
		Attestation      string `json:"attestation"`
	} `json:"publicKey"`
}

// Read takes options apart, so that a test can look at them.
func Read(t testing.TB, options []byte) Options {
	t.Helper()
	var o Options
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatalf("passkey options: %v in %s", err, options)
	}
	return o
}

// Create makes a passkey, as navigator.credentials.create does, and returns the answer.
func (a *Authenticator) Create(t testing.TB, options []byte) []byte {
	t.Helper()
	o := Read(t, options).PublicKey
	p := &Passkey{ID: make([]byte, 32), RPID: o.RP.ID, User: decode(t, o.User.ID), alg: a.Key}
	if p.alg == 0 {
		p.alg = ES256
	}
	p.key = a.newKey(t, p.alg)
	_, _ = rand.Read(p.ID)
	a.keys = append(a.keys, p)
	transports := a.Transports
	if transports == nil {
		transports = []string{"internal"}
	}
	return a.answer(t, p, map[string]any{
		"clientDataJSON":    encode(a.clientData("webauthn.create", o.Challenge)),
		"attestationObject": encode(attestation(a.authData(p, a.publicKey(t, p)))),
		"transports":        transports,
	})
}

// Get signs with the newest passkey that the options allow, as navigator.credentials.get
// does, and returns the answer.
func (a *Authenticator) Get(t testing.TB, options []byte) []byte {
	t.Helper()
	o := Read(t, options).PublicKey
	for _, p := range slices.Backward(a.keys) {
		allowed := len(o.Allow) == 0
		for _, d := range o.Allow {
			allowed = allowed || bytes.Equal(decode(t, d.ID), p.ID)
		}
		if p.RPID == o.RPID && allowed {
			return a.Sign(t, p, options)
		}
	}
	t.Fatalf("no passkey for %s is allowed by %s", o.RPID, options)
	return nil
}

// Sign is Get with this passkey, whatever the options allow.
func (a *Authenticator) Sign(t testing.TB, p *Passkey, options []byte) []byte {
	t.Helper()
	if !a.Uncounted {
		p.Counter++
	}
	data := a.authData(p, nil)
	client := a.clientData("webauthn.get", Read(t, options).PublicKey.Challenge)
	hash := sha256.Sum256(client)
	key := p.key
	if a.Broken {
		key = a.newKey(t, p.alg)
	}
	message, how := slices.Concat(data, hash[:]), crypto.Hash(0) // EdDSA signs the message itself
	if p.alg != EdDSA {
		digest := sha256.Sum256(message)
		message, how = digest[:], crypto.SHA256
	}
	signature, err := key.Sign(rand.Reader, message, how)
	if err != nil {
		t.Fatal(err)
	}
	response := map[string]any{
		"clientDataJSON": encode(client), "authenticatorData": encode(data), "signature": encode(signature), "userHandle": nil,
	}
	switch {
	case a.Handle != nil:
		response["userHandle"] = encode(a.Handle)
	case !a.NotDiscoverable:
		response["userHandle"] = encode(p.User)
	}
	return a.answer(t, p, response)
}

func (a *Authenticator) answer(t testing.TB, p *Passkey, response map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"id": encode(p.ID), "rawId": encode(p.ID), "type": "public-key", "authenticatorAttachment": "platform",
		"clientExtensionResults": map[string]any{}, "response": response,
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// clientData is what the browser adds, and the authenticator signs (section 5.8.1).
func (a *Authenticator) clientData(kind, challenge string) []byte {
	if a.Type != "" {
		kind = a.Type
	}
	if a.Challenge != "" {
		challenge = a.Challenge
	}
	text, _ := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.Origin, "crossOrigin": a.CrossOrigin})
	return text
}

// authData is the authenticator data (section 6.1); made holds the attested credential.
func (a *Authenticator) authData(p *Passkey, made []byte) []byte {
	id := p.RPID
	if a.RPID != "" {
		id = a.RPID
	}
	hash := sha256.Sum256([]byte(id))
	var flags byte
	for bit, set := range map[byte]bool{0x01: !a.Absent, 0x04: !a.Unverified, 0x18: a.Synced, 0x40: made != nil} {
		if set {
			flags |= bit
		}
	}
	data := append(hash[:], flags)
	data = binary.BigEndian.AppendUint32(data, p.Counter)
	if made == nil {
		return data
	}
	data = append(data, make([]byte, 16)...) // AAGUID: of no known maker
	data = binary.BigEndian.AppendUint16(data, uint16(len(p.ID)))
	return slices.Concat(data, p.ID, made)
}

func (a *Authenticator) newKey(t testing.TB, alg int) (key crypto.Signer) {
	t.Helper()
	var err error
	switch alg {
	case ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case RS256:
		bits := a.Bits
		if bits == 0 {
			bits = 2048
		}
		key, err = rsa.GenerateKey(rand.Reader, bits)
	default:
		t.Fatalf("no keys of algorithm %d are made here", alg)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// publicKey is the key in COSE (RFC 9053 section 7, RFC 8230), a map in canonical CBOR.
func (a *Authenticator) publicKey(t testing.TB, p *Passkey) []byte {
	t.Helper()
	alg := p.alg
	if a.Algorithm != 0 {
		alg = a.Algorithm
	}
	start := func(fields, kind byte) []byte {
		return append([]byte{0xa0 | fields, 0x01, kind, 0x03}, negative(alg)...)
	}
	switch public := p.key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, x, y
		if err != nil {
			t.Fatal(err)
		}
		return slices.Concat(start(5, 2), []byte{0x20, 0x01, 0x21, 0x58, 0x20}, point[1:33], []byte{0x22, 0x58, 0x20}, point[33:])
	case ed25519.PublicKey:
		return slices.Concat(start(4, 1), []byte{0x20, 0x06, 0x21, 0x58, 0x20}, public)
	case *rsa.PublicKey:
		n := public.N.Bytes()
		return slices.Concat(start(4, 3), []byte{0x20, 0x59}, binary.BigEndian.AppendUint16(nil, uint16(len(n))), n, []byte{0x21, 0x43, 1, 0, 1})
	}
	t.Fatal("a key of no known kind")
	return nil
}

// negative is a negative integer in CBOR, down to -65536.
func negative(n int) []byte {
	switch m := -1 - n; {
	case m < 24:
		return []byte{0x20 | byte(m)}
	case m < 256:
		return []byte{0x38, byte(m)}
	default:
		return binary.BigEndian.AppendUint16([]byte{0x39}, uint16(m))
	}
}

// attestation is the attestation object of format none (section 8.7).
func attestation(data []byte) []byte {
	out := []byte{0xa3, 0x63}
	out = append(out, "fmt"...)
	out = append(out, 0x64)
	out = append(out, "none"...)
	out = append(out, 0x67)
	out = append(out, "attStmt"...)
	out = append(out, 0xa0, 0x68)
	out = append(out, "authData"...)
	out = append(out, 0x59)
	out = binary.BigEndian.AppendUint16(out, uint16(len(data)))
	return append(out, data...)
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func decode(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatalf("not base64url: %v", err)
	}
	return raw
}
