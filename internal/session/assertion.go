package session

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
)

const (
	assertionCache = time.Minute // how long an assertion is given again
	assertionMax   = 4096        // in each of two generations
	maxAudience    = 512         // bytes; an origin is shorter
)

// statement is what an assertion says beside what all tokens say.
type statement struct {
	Groups   []string `json:"groups"`
	FullName string   `json:"name,omitempty"`
	Email    string   `json:"email,omitempty"`
	AMR      []string `json:"amr"`       // RFC 8176
	ACR      string   `json:"acr"`       // "urn:sallyport:factors:2"
	AuthTime int64    `json:"auth_time"` // of the last proof
}

// Assertion makes the JWT that tells the upstream of origin aud (scheme://host,
// with the port if it is not the scheme's) who is calling. alg is "EdDSA" (also
// "") or "ES256". It is good for 5 minutes; for a minute the same one is given
// again, unless the principal changed. A Live without an id is a program that
// proved itself for this request.
// Errors: ErrNone for the zero Live; an alg or aud that cannot be is a mistake of
// the caller; others: the store failed.
func (r *Registry) Assertion(l Live, aud, alg string) (string, error) {
	u := useAssertion
	switch {
	case l.Identity == nil:
		return "", ErrNone
	case aud == "" || len(aud) > maxAudience:
		return "", errors.New("assertion: an origin of 1 to 512 bytes is expected as audience")
	case alg == useAssertionES256.alg():
		u = useAssertionES256
	case alg != "" && alg != useAssertion.alg():
		return "", fmt.Errorf("assertion: alg is EdDSA or ES256, not %q", alg)
	}
	now := r.clock()
	key := assertionKey{l.ID, l.Identity, l.Proof.AMR, secondOf(l.Proof.AuthTime()), aud, r.Issuer(), u}
	if text, ok := r.assertions.get(key, now); ok {
		return text, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	c := r.newClaims(l, aud, now, AssertionLife)
	c.statement = &statement{
		Groups: append([]string{}, l.Identity.Groups...), FullName: l.Identity.FullName, Email: l.Identity.Email,
		AMR: l.Proof.AMR.Strings(), ACR: "urn:sallyport:factors:" + strconv.Itoa(l.Proof.AMR.Factors()),
		AuthTime: l.Proof.AuthTime().Unix(),
	}
	if l.Identity.Kind == principal.Service { // it has just proved its token, or the access token that it got for one
		c.AMR, c.ACR, c.AuthTime = OTP.Strings(), "urn:sallyport:factors:1", now.Unix()
	}
	text, err := r.sign(ctx, u, typeAssertion, c)
	if err == nil {
		r.assertions.put(key, text, now)
	}
	return text, err
}

// assertionKey holds the identity by its address: a changed principal has another.
type assertionKey struct {
	session  string
	identity *account.Identity
	amr      AMR
	authTime second
	aud      string
	issuer   string
	use      use
}

type madeAssertion struct {
	text string
	at   time.Time
}

// assertions remembers the last ones in two generations: when the younger is full
// or a minute old it becomes the elder, and the elder is forgotten whole.
type assertions struct {
	mu      sync.Mutex
	younger map[assertionKey]madeAssertion
	elder   map[assertionKey]madeAssertion
	since   time.Time
}

func (a *assertions) get(key assertionKey, now time.Time) (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	made, ok := a.younger[key]
	if !ok {
		made, ok = a.elder[key]
	}
	age := now.Sub(made.at)
	return made.text, ok && age >= 0 && age < assertionCache
}

func (a *assertions) put(key assertionKey, text string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.younger) >= assertionMax || now.Sub(a.since).Abs() >= assertionCache {
		a.younger, a.elder, a.since = nil, a.younger, now
	}
	if a.younger == nil {
		a.younger = map[assertionKey]madeAssertion{}
	}
	a.younger[key] = madeAssertion{text, now}
}
