package session

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
)

const (
	AccessLife    = 15 * time.Minute
	AssertionLife = 5 * time.Minute

	typeAccess    = "at+jwt" // RFC 9068
	typeAssertion = "sallyport-assertion+jwt"

	clientID  = "sallyport"         // RFC 9068 asks for one
	apiPath   = "/sallyport/api/v1" // behind the issuer: the audience of access tokens
	maxJWT    = 8 << 10             // ours are under 1 KiB, but for people in hundreds of groups
	jwtLeeway = 5 * time.Second     // for clocks of nodes that differ
)

// claims of our tokens. Times are seconds (RFC 7519).
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"` // UUID of the principal
	Audience string `json:"aud"`
	IssuedAt int64  `json:"iat"`
	From     int64  `json:"nbf"`
	Expires  int64  `json:"exp"`
	ID       string `json:"jti"`
	Session  string `json:"sid,omitempty"`
	Realm    string `json:"realm"`
	Name     string `json:"preferred_username"`

	ClientID string  `json:"client_id,omitempty"` // access tokens alone
	Epoch    *uint64 `json:"epoch,omitempty"`     // access tokens alone

	*statement // assertions alone
}

// numeric is nil for a claim that is missing: the parser then says so.
func numeric(seconds int64) (*jwt.NumericDate, error) {
	if seconds == 0 {
		return nil, nil
	}
	return jwt.NewNumericDate(time.Unix(seconds, 0)), nil
}

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return numeric(c.Expires) }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return numeric(c.IssuedAt) }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return numeric(c.From) }
func (c *claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings{c.Audience}, nil }

// newClaims are what all our tokens say.
func (r *Registry) newClaims(l Live, aud string, now time.Time, life time.Duration) *claims {
	at := now.Unix()
	return &claims{
		Issuer: r.Issuer(), Subject: l.Identity.ID.String(), Audience: aud,
		IssuedAt: at, From: at, Expires: at + int64(life/time.Second), ID: rand.Text(),
		Session: l.ID, Realm: l.Identity.Realm, Name: l.Identity.Name,
	}
}

// sign makes a compact JWS with a header of alg, kid and typ.
func (r *Registry) sign(ctx context.Context, u use, typ string, c *claims) (string, error) {
	ring, err := r.keys.get(ctx)
	if err != nil {
		return "", err
	}
	key := ring[u][0]
	token := jwt.NewWithClaims(jwt.GetSigningMethod(u.alg()), c)
	token.Header["typ"], token.Header["kid"] = typ, key.id
	text, err := token.SignedString(key.private)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return text, nil
}

// Audience is claim aud of access tokens: the API.
func (r *Registry) Audience() string { return r.Issuer() + apiPath }

// Access makes an access token of the API (RFC 9068) for a session, good for 15
// minutes and no longer than the session. Only a session found by a portal token
// gets one: the cookie domain's opens the guard alone. Errors: ErrNone (such a
// session, or none); others: the store failed.
func (r *Registry) Access(ctx context.Context, l Live) (jwt string, expires time.Time, err error) {
	now := r.clock()
	if l.Identity == nil || l.ID == "" || !l.Portal || l.Kind.Facade() || !now.Before(l.Until) {
		return "", time.Time{}, ErrNone
	}
	c := r.newClaims(l, r.Audience(), now, min(AccessLife, l.Until.Sub(now)))
	c.ClientID, c.Epoch = clientID, &l.Epoch
	text, err := r.sign(ctx, useAccess, typeAccess, c)
	return text, time.Unix(c.Expires, 0), err
}

// AccessService makes an access token for a service that has proved itself: good for
// 15 minutes, and no longer than its service is enabled and keeps its seed.
// Errors: ErrNone (no service, or a disabled one); others: the store failed.
func (r *Registry) AccessService(ctx context.Context, who *account.Identity) (jwt string, expires time.Time, err error) {
	if who == nil || who.Kind != principal.Service || !who.Enabled {
		return "", time.Time{}, ErrNone
	}
	c := r.newClaims(Live{Identity: who}, r.Audience(), r.clock(), AccessLife)
	epoch := who.Epoch
	c.ClientID, c.Epoch = who.Name+"@"+who.Realm, &epoch
	text, err := r.sign(ctx, useAccess, typeAccess, c)
	return text, time.Unix(c.Expires, 0), err
}

// VerifyAccess finds the session of an access token; it lives as the session does
// and not a request longer, and dies with the principal's epoch although the
// session may go on. It slides the idle limit. A service's token has no session:
// it is good while the service is enabled and its seed unrotated. Whether the
// service may act from where it is, Identity.MayCallFrom says. Errors: ErrNone;
// others: the store failed.
func (r *Registry) VerifyAccess(ctx context.Context, token string) (Live, error) {
	if len(token) > maxJWT {
		return Live{}, ErrNone
	}
	ring, err := r.keys.get(ctx)
	if err != nil {
		return Live{}, err
	}
	now := r.clock()
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{useAccess.alg()}), jwt.WithStrictDecoding(),
		jwt.WithIssuer(r.Issuer()), jwt.WithAudience(r.Audience()),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(jwtLeeway), jwt.WithTimeFunc(func() time.Time { return now }),
	)
	var c claims
	if _, err := parser.ParseWithClaims(token, &c, ring.accessKey); err != nil {
		return Live{}, ErrNone
	}
	if c.Session == "" && c.ClientID != clientID {
		return r.service(ctx, &c)
	}
	id, ok := parseID(c.Session)
	if !ok || c.Epoch == nil || c.ClientID != clientID {
		return Live{}, ErrNone
	}
	l, err := r.byID(ctx, id, r.instant(now), true)
	if err != nil {
		return Live{}, err
	}
	if l.Identity.ID.String() != c.Subject || l.Epoch != *c.Epoch || l.Kind.Facade() {
		return Live{}, ErrNone
	}
	return l, nil
}

var errHeader = errors.New("header is not that of an access token")

// accessKey picks the key for a token whose header says exactly what ours say:
// nothing else is looked at (RFC 8725 section 3).
func (k *keyring) accessKey(t *jwt.Token) (any, error) {
	id, ok := t.Header["kid"].(string)
	if !ok || t.Header["typ"] != typeAccess || len(t.Header) != 3 {
		return nil, errHeader
	}
	for _, key := range k[useAccess] {
		if key.id == id {
			return key.private.Public(), nil
		}
	}
	return nil, errHeader
}

// IsOurs reports whether a text looks like a JWT whose iss is ours: then it is a
// proof of ours, good or bad. Others are left to the upstream. It proves nothing
// and allocates little.
func (r *Registry) IsOurs(token string) bool {
	if len(token) > maxJWT || strings.Count(token, ".") != 2 {
		return false
	}
	_, rest, _ := strings.Cut(token, ".")
	body, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return false
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	return json.Unmarshal(text, &c) == nil && c.Issuer == r.Issuer()
}
