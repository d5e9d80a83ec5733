package factor

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
)

const (
	// ChallengeLife is how long a challenge may be signed: time to find a key and touch it.
	ChallengeLife = 5 * time.Minute
	// maxResponse bounds what an authenticator answers, in bytes: without attestation it is
	// some 2 KiB.
	maxResponse = 32 << 10
	// maxHandle bounds a credential id, in bytes (WebAuthn section 5.1.3).
	maxHandle = 1023
)

// Passkeys say for whom passkeys are made here. Whether a signature is of these pages is
// told by Origins, and the authenticator binds each passkey to RPID.
type Passkeys struct {
	RPID    string   // a host name, never an address: passkeys are lost when it changes
	Name    string   // what authenticators show
	Origins []string // of the pages that may use them, each exactly so
}

// Check refuses what no browser would take. Its sentences say what to do.
func (p *Passkeys) Check() error {
	_, err := newRelying(p)
	return err
}

// Challenge is what a passkey has to sign: good once, until Expires. Whoever keeps it
// hands it back with the first answer, and drops it then, whatever the answer was.
type Challenge struct {
	Text     string    `json:"text"`               // base64url of at least 32 random bytes
	Verified bool      `json:"verified,omitempty"` // the authenticator must have verified the person
	Expires  time.Time `json:"expires"`
}

// LoginChallenge is the challenge that was given to BeginLogin.
func LoginChallenge(challenge []byte, expires time.Time) *Challenge {
	return &Challenge{Text: base64.RawURLEncoding.EncodeToString(challenge), Verified: true, Expires: expires}
}

// relying is the relying party of the ceremonies (WebAuthn sections 7.1 and 7.2). It
// keeps nothing: what was asked stands in a Challenge.
type relying struct {
	id  string
	lib *webauthn.WebAuthn
}

func newRelying(p *Passkeys) (*relying, error) {
	timeout := webauthn.TimeoutConfig{Timeout: ChallengeLife, TimeoutUVD: ChallengeLife}
	lib, err := webauthn.New(&webauthn.Config{
		RPID: p.RPID, RPDisplayName: p.Name, RPOrigins: p.Origins,
		AttestationPreference: protocol.PreferNoAttestation,
		Timeouts:              webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
		// No extension is asked for, and what one says is not read.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil || p.RPID == "" || p.Name == "" {
		return nil, fmt.Errorf("passkeys need a host name, such as auth.example.com or localhost, a name to show and origins (%q): %w", p.RPID, err)
	}
	return &relying{id: p.RPID, lib: lib}, nil
}

// algorithms are those that every browser and every authenticator of today has one of
// (RFC 9053; RS256 for Windows Hello).
func algorithms() []protocol.CredentialParameter {
	var list []protocol.CredentialParameter
	for _, alg := range []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256} {
		list = append(list, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: alg})
	}
	return list
}

// holder is a person as the library wants one.
type holder struct {
	id          principal.ID
	name, shown string
	keys        []webauthn.Credential
}

func (h *holder) WebAuthnID() []byte                         { return h.id[:] }
func (h *holder) WebAuthnName() string                       { return h.name }
func (h *holder) WebAuthnDisplayName() string                { return h.shown }
func (h *holder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

func (k *passkey) library() webauthn.Credential {
	c := webauthn.Credential{
		ID: k.Handle, PublicKey: k.PublicKey, AttestationType: "none", AttestationFormat: "none",
		Flags:         webauthn.NewCredentialFlags(protocol.AuthenticatorFlags(k.Flags)),
		Authenticator: webauthn.Authenticator{AAGUID: k.AAGUID, SignCount: k.Counter},
	}
	for _, t := range k.Transports {
		c.Transport = append(c.Transport, protocol.AuthenticatorTransport(t))
	}
	return c
}

// verified: the last signature says that the authenticator verified the person.
func (k *passkey) verified() bool { return protocol.AuthenticatorFlags(k.Flags).HasUserVerified() }

// synced: the private key may leave the device, by its maker's synchronisation.
func (k *passkey) synced() bool { return protocol.AuthenticatorFlags(k.Flags).HasBackupEligible() }

func descriptors(keys []passkey) []protocol.CredentialDescriptor {
	var list []protocol.CredentialDescriptor
	for _, k := range keys {
		c := k.library()
		list = append(list, c.Descriptor())
	}
	return list
}

// create makes the options of a new passkey: verified by the authenticator, discoverable
// where it can be, not in an authenticator that has one of this person already, and
// without attestation.
func (r *relying) create(u *account.User, rec *passkeyRecord, now time.Time) (options []byte, c *Challenge, err error) {
	h := &holder{id: u.ID, name: u.Ref().String(), shown: u.FullName}
	if h.shown == "" {
		h.shown = h.name
	}
	here := make([]passkey, 0, len(rec.Keys))
	for _, k := range rec.Keys {
		if k.RPID == r.id {
			here = append(here, k)
		}
	}
	creation, session, err := r.lib.BeginRegistration(h,
		webauthn.WithCredentialParameters(algorithms()),
		webauthn.WithExclusions(descriptors(here)),
		webauthn.WithConveyancePreference(protocol.PreferNoAttestation),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationRequired,
		}))
	if err != nil {
		return nil, nil, fmt.Errorf("make passkey options: %w", err)
	}
	options, err = json.Marshal(creation)
	return options, &Challenge{Text: session.Challenge, Verified: true, Expires: now.Add(ChallengeLife)}, err
}

// living is the library's session of a challenge; none: it must not be judged.
func (c *Challenge) living(id principal.ID, now time.Time) (webauthn.SessionData, bool) {
	if c == nil || !now.Before(c.Expires) {
		return webauthn.SessionData{}, false
	}
	s := webauthn.SessionData{Challenge: c.Text, UserID: id[:], UserVerification: protocol.VerificationPreferred, CredParams: algorithms()}
	if c.Verified {
		s.UserVerification = protocol.VerificationRequired
	}
	return s, true
}

// created judges the answer to create. What is not good is not told apart: no one of
// these refusals helps an honest person.
func (r *relying) created(id principal.ID, c *Challenge, response []byte, now time.Time) (*passkey, bool) {
	session, ok := c.living(id, now)
	if !ok || len(response) > maxResponse {
		return nil, false
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return nil, false
	}
	made, err := r.lib.CreateCredential(&holder{id: id}, session, parsed)
	if err != nil || len(made.ID) == 0 || len(made.ID) > maxHandle || !fits(made.PublicKey) {
		return nil, false
	}
	k := &passkey{
		RPID: r.id, Handle: made.ID, PublicKey: made.PublicKey, Counter: made.Authenticator.SignCount,
		Flags: byte(parsed.Response.AttestationObject.AuthData.Flags), AAGUID: made.Authenticator.AAGUID,
	}
	for i, t := range made.Transport {
		if i < maxTransports && len(t) <= maxTransport {
			k.Transports = append(k.Transports, string(t))
		}
	}
	return k, true
}

// fits reports whether a public key is of the kind that its algorithm needs (WebAuthn
// section 5.8.5). The library compares the algorithm's number alone: a key could say one
// and be another.
func fits(publicKey []byte) bool {
	parsed, err := webauthncose.ParsePublicKey(publicKey)
	if err != nil {
		return false
	}
	switch k := parsed.(type) {
	case webauthncose.EC2PublicKeyData:
		return k.Algorithm == int64(webauthncose.AlgES256) && k.Curve == int64(webauthncose.P256)
	case webauthncose.OKPPublicKeyData:
		return k.Algorithm == int64(webauthncose.AlgEdDSA) && k.Curve == int64(webauthncose.Ed25519)
	case webauthncose.RSAPublicKeyData:
		return k.Algorithm == int64(webauthncose.AlgRS256) && len(k.Modulus) >= minModulus && len(k.Modulus) <= maxModulus
	}
	return false
}

// Sizes of RSA keys, in bytes: at least what holds for years, at most what is checked
// quickly.
const minModulus, maxModulus = 256, 512

// How many transports of an authenticator are kept, and how long their names may be:
// hints for the browser, which there are six of.
const maxTransports, maxTransport = 8, 32

// get makes the options of a signature by one of these passkeys.
func (r *relying) get(id principal.ID, keys []passkey, now time.Time) (options []byte, c *Challenge, err error) {
	h := &holder{id: id}
	for _, k := range keys {
		h.keys = append(h.keys, k.library())
	}
	assertion, session, err := r.lib.BeginLogin(h, webauthn.WithUserVerification(protocol.VerificationPreferred))
	if err != nil {
		return nil, nil, fmt.Errorf("make passkey options: %w", err)
	}
	options, err = json.Marshal(assertion)
	return options, &Challenge{Text: session.Challenge, Expires: now.Add(ChallengeLife)}, err
}

// login makes the options of a signature by whichever passkey there is.
func (r *relying) login(challenge []byte) ([]byte, error) {
	assertion, _, err := r.lib.BeginDiscoverableLogin(
		webauthn.WithChallenge(challenge), webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, fmt.Errorf("make passkey options: %w", err)
	}
	return json.Marshal(assertion)
}

// signed judges the answer to get and login, and notes in rec what it says of the
// passkey. ok: one of the person's passkeys signed the challenge, for a page of ours.
// cloned: and its counter did not grow, so the answer must be refused.
func (r *relying) signed(id principal.ID, rec *passkeyRecord, c *Challenge, response []byte, now time.Time) (used *passkey, cloned, ok bool) {
	session, ok := c.living(id, now)
	if !ok || len(response) > maxResponse {
		return nil, false, false
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, false, false
	}
	used = rec.find(r.id, parsed.RawID)
	if used == nil {
		return nil, false, false
	}
	good, err := r.lib.ValidateLogin(&holder{id: id, keys: []webauthn.Credential{used.library()}}, session, parsed)
	if err != nil {
		return nil, false, false
	}
	if good.Authenticator.CloneWarning {
		return used, true, true
	}
	used.Counter, used.Flags = good.Authenticator.SignCount, byte(parsed.Response.AuthenticatorData.Flags)
	return used, false, true
}

// named reads whom an answer to login names, and which challenge it signed. Nothing of
// it is proved.
func (r *relying) named(response []byte) (handle []byte, id principal.ID, challenge []byte, ok bool) {
	if len(response) > maxResponse {
		return nil, id, nil, false
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil || len(parsed.Response.UserHandle) != len(id) || len(parsed.RawID) > maxHandle {
		return nil, id, nil, false
	}
	challenge, err = base64.RawURLEncoding.DecodeString(parsed.Response.CollectedClientData.Challenge)
	if err != nil {
		return nil, id, nil, false
	}
	return parsed.RawID, principal.ID(parsed.Response.UserHandle), challenge, true
}
