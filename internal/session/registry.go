package session

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Options of a Registry.
type Options struct {
	Store     store.Store                 // required
	Derive    func(purpose string) []byte // required: 32 secret bytes per purpose, as SealedStore.Derive
	Directory *account.Directory          // required
	Audit     *audit.Log                  // required
	Clock     func() time.Time            // nil: time.Now
	Logger    *slog.Logger                // nil: silent

	// Issuer is claim iss of access tokens and assertions: the portal's origin,
	// "https://auth.example.com". Empty, where there is no portal: a URN that is
	// derived from the store, so that no Host header decides who signs.
	Issuer string
}

// Registry opens, finds and ends sessions. It is safe for concurrent use; one
// process needs one over one store.
type Registry struct{}

var errBeingWritten = errors.New("session: being written")

// New follows the store's commits from here on. Close ends that.
func New(o Options) (*Registry, error) { return &Registry{}, nil }

// Close writes what is waiting to be written and stops.
func (r *Registry) Close() error { return nil }

// Issuer is claim iss of our tokens.
func (r *Registry) Issuer() string { return "" }

// SetIssuer changes it, for a shell that reloads its configuration.
func (r *Registry) SetIssuer(issuer string) {}

// Open makes a session in the caller's transaction.
func (r *Registry) Open(tx store.Tx, o Opening) (*Opened, error) { return nil, errBeingWritten }

// Live finds the session of a cookie. Errors: ErrNone; others: the store failed.
func (r *Registry) Live(ctx context.Context, cookie string, now time.Time) (Live, error) {
	return Live{}, errBeingWritten
}

// Revoke ends a session. Errors: ErrNone.
func (r *Registry) Revoke(tx store.Tx, id string) error { return errBeingWritten }

// RevokeAll ends all sessions of a principal but one ("": none is spared).
func (r *Registry) RevokeAll(tx store.Tx, who principal.ID, except string) (n int, err error) {
	return 0, errBeingWritten
}

// Raise takes a session to a new epoch, in the transaction that raised the principal's.
func (r *Registry) Raise(tx store.Tx, id string, epoch uint64) error { return errBeingWritten }

// Get returns a living session. Errors: ErrNone.
func (r *Registry) Get(tx store.Tx, id string) (Session, error) { return Session{}, errBeingWritten }

// List returns the living sessions of a principal, newest first.
func (r *Registry) List(tx store.Tx, who principal.ID) ([]Session, error) {
	return nil, errBeingWritten
}

// Page returns up to limit living sessions of all principals behind cursor ("": from the start); next is "" at the end.
func (r *Registry) Page(tx store.Tx, cursor string, limit int) (page []Session, next string, err error) {
	return nil, "", errBeingWritten
}

// Access makes an access token of the API for a session that was opened at the portal's door.
func (r *Registry) Access(ctx context.Context, l Live) (jwt string, expires time.Time, err error) {
	return "", time.Time{}, errBeingWritten
}

// VerifyAccess finds the session of an access token. Errors: ErrNone; others: the store failed.
func (r *Registry) VerifyAccess(ctx context.Context, jwt string) (Live, error) {
	return Live{}, errBeingWritten
}

// IsOurs reports whether a text looks like a JWT whose iss is ours. It proves nothing.
func (r *Registry) IsOurs(jwt string) bool { return false }

// Assertion makes the JWT that tells an upstream who is calling. alg: "EdDSA" (also "") or "ES256".
func (r *Registry) Assertion(l Live, aud, alg string) (string, error) { return "", errBeingWritten }

// JWKS is the public half of all signing keys that may still be in use, as JSON (RFC 7517).
func (r *Registry) JWKS() ([]byte, error) { return nil, errBeingWritten }

// RotateKeys makes new signing keys.
func (r *Registry) RotateKeys(ctx context.Context) error { return errBeingWritten }

// Refresh trades a refresh token for a new one.
func (r *Registry) Refresh(ctx context.Context, refresh string, origin Origin) (*Opened, error) {
	return nil, errBeingWritten
}

// Subscribe calls fn(true) once when the session ends, within 5 s, and fn(false) whenever its principal changed.
func (r *Registry) Subscribe(id string, fn func(ended bool)) (stop func()) { return func() {} }

// OnEnd calls fn when the session ends or its principal changed.
func (r *Registry) OnEnd(id string, fn func()) (stop func()) { return func() {} }
