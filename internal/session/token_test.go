package session_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// parts of a JWT, not verified.
func parts(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	segments := strings.Split(token, ".")
	if len(segments) != 3 {
		t.Fatalf("%d segments", len(segments))
	}
	for i, to := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(segments[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, to); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// upstream verifies a token as an upstream does: with what JWKS says and nothing else.
func (w *world) upstream(token, aud string) (jwt.MapClaims, error) {
	w.Helper()
	text, err := w.JWKS()
	w.must(err)
	var set struct {
		Keys []struct{ Kty, Crv, X, Y, Kid, Use, Alg string }
	}
	w.must(json.Unmarshal(text, &set))
	claims := jwt.MapClaims{}
	_, err = jwt.NewParser(jwt.WithAudience(aud), jwt.WithIssuer(w.Issuer()), jwt.WithTimeFunc(w.clock.Now), jwt.WithExpirationRequired()).
		ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
			for _, k := range set.Keys {
				if k.Kid != t.Header["kid"] || k.Alg != t.Header["alg"] || k.Use != "sig" {
					continue
				}
				x, _ := base64.RawURLEncoding.DecodeString(k.X)
				y, _ := base64.RawURLEncoding.DecodeString(k.Y)
				switch {
				case k.Kty == "OKP" && k.Crv == "Ed25519":
					return ed25519.PublicKey(x), nil
				case k.Kty == "EC" && k.Crv == "P-256":
					return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
				}
			}
			return nil, errors.New("no such key")
		})
	return claims, err
}

func TestAccessToken(t *testing.T) {
	w := newWorld(t)
	u := w.user("alice")
	o := w.open(u)
	token, expires, err := w.Access(t.Context(), o.Live)
	w.must(err)
	if !expires.Equal(start.Add(15 * time.Minute)) {
		t.Errorf("expires %v", expires)
	}
	header, claims := parts(t, token)
	if header["typ"] != "at+jwt" || header["alg"] != "EdDSA" || header["kid"] == "" || len(header) != 3 {
		t.Errorf("header %v", header)
	}
	for name, want := range map[string]any{
		"iss": issuer, "aud": issuer + "/sallyport/api/v1", "sub": u.ID.String(), "sid": o.ID, "client_id": "sallyport",
		"realm": "users", "preferred_username": "alice", "iat": float64(start.Unix()), "nbf": float64(start.Unix()), "exp": float64(start.Unix() + 900),
	} {
		if claims[name] != want {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	if other := w.access(o.Live); claims["jti"] == "" || other == token {
		t.Error("two tokens are the same")
	}
	l, err := w.VerifyAccess(t.Context(), token)
	if err != nil || l.ID != o.ID || l.Identity.ID != u.ID || !l.Portal || l.Proof.AMR.Factors() != 2 {
		t.Fatalf("got %+v, %v", l, err)
	}
	if !w.IsOurs(token) {
		t.Error("our token is not ours")
	}
	w.clock.Advance(15*time.Minute + 4*time.Second)
	if _, err := w.VerifyAccess(t.Context(), token); err != nil {
		t.Errorf("within the leeway: %v", err)
	}
	w.clock.Advance(2 * time.Second)
	w.tokenRefused(token)
	w.clock.Set(start.Add(-6 * time.Second))
	w.tokenRefused(token)
}

// Attack: every way to make or bend a JWT that golang-jwt's default would take.
// Before: one key and no audience for all kinds (CVE-2024-47616), truncated tokens
// (CVE-2026-27840), "alg":"none", the public key as an HMAC secret.
func TestS5AccessTokens(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.user("alice"), w.user("bob")
	o, other := w.open(alice, domain, refresh), w.open(bob)
	good := w.access(o.Live)
	public, kid := w.AccessPublic()
	body := func(change map[string]any) jwt.MapClaims {
		_, claims := parts(t, good)
		for name, v := range change {
			claims[name] = v
			if v == nil {
				delete(claims, name)
			}
		}
		return claims
	}
	header := func(h map[string]any) map[string]any {
		all := map[string]any{"typ": "at+jwt", "kid": kid}
		for name, v := range h {
			all[name] = v
		}
		return all
	}
	sign := func(m jwt.SigningMethod, key any, h map[string]any) string {
		token := jwt.NewWithClaims(m, body(nil))
		for name, v := range header(h) {
			token.Header[name] = v
		}
		text, err := token.SignedString(key)
		w.must(err)
		return text
	}
	_, foreign, _ := ed25519.GenerateKey(rand.Reader)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der := []byte(public)
	assertion, err := w.Assertion(o.Live, issuer+"/sallyport/api/v1", "")
	w.must(err)

	if _, err := w.VerifyAccess(t.Context(), w.SignAs("access", header(nil), body(nil))); err != nil {
		t.Fatalf("the forger's own good token is refused: the cases below prove nothing: %v", err)
	}
	bad := map[string]string{
		"none":                              sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"none, no signature":                strings.Join(strings.Split(good, ".")[:2], ".") + ".",
		"HS256, public key":                 sign(jwt.SigningMethodHS256, der, nil),
		"foreign key":                       sign(jwt.SigningMethodEdDSA, foreign, nil),
		"ES256":                             sign(jwt.SigningMethodES256, ec, nil),
		"assertion":                         assertion,
		"assertion's key":                   w.SignAs("assertion", header(nil), body(nil)),
		"assertion's key under its own kid": w.SignAs("assertion", map[string]any{"typ": "at+jwt"}, body(nil)),
		"cookie":                            o.Cookie.Reveal(),
		"refresh token":                     o.Refresh.Reveal(),
		"domain cookie":                     o.DomainCookie.Reveal(),
		"empty":                             "",
		"dots":                              "..",
		"long":                              strings.Repeat("a", 1<<20) + "." + strings.Repeat("b", 1<<20) + ".c",
		"twice":                             good + "." + good,
		"trailing dot":                      good + ".",
		"padded":                            good + "==",
		"space":                             good + " ",
		"no typ":                            w.SignAs("access", header(map[string]any{"typ": nil}), body(nil)),
		"typ JWT":                           w.SignAs("access", header(map[string]any{"typ": "JWT"}), body(nil)),
		"typ media type":                    w.SignAs("access", header(map[string]any{"typ": "application/at+jwt"}), body(nil)),
		"typ assertion":                     w.SignAs("access", header(map[string]any{"typ": "sallyport-assertion+jwt"}), body(nil)),
		"kid unknown":                       w.SignAs("access", header(map[string]any{"kid": "x"}), body(nil)),
		"kid missing":                       w.SignAs("access", header(map[string]any{"kid": nil}), body(nil)),
		"kid a number":                      w.SignAs("access", header(map[string]any{"kid": 1}), body(nil)),
		"crit":                              w.SignAs("access", header(map[string]any{"crit": []string{"b64"}, "b64": false}), body(nil)),
		"jwk inside":                        w.SignAs("access", header(map[string]any{"jwk": map[string]string{"kty": "OKP"}}), body(nil)),
	}
	at := start.Unix()
	for name, change := range map[string]map[string]any{
		"iss":             {"iss": "https://evil.example.com"},
		"iss with slash":  {"iss": issuer + "/"},
		"no iss":          {"iss": nil},
		"aud of upstream": {"aud": "https://app.example.com"},
		"no aud":          {"aud": nil},
		"aud prefix":      {"aud": issuer},
		"aud list":        {"aud": []string{issuer + "/sallyport/api/v1", "x"}},
		"expired":         {"exp": at - 6},
		"no exp":          {"exp": nil},
		"exp zero":        {"exp": 0},
		"not yet":         {"nbf": at + 6},
		"no nbf":          {"nbf": nil},
		"iat ahead":       {"iat": at + 60},
		"sid of another":  {"sid": other.ID},
		"sub of another":  {"sub": bob.ID.String()},
		"sid unknown":     {"sid": strings.Repeat("0", 32)},
		"no sid":          {"sid": nil},
		"no epoch":        {"epoch": nil},
		"epoch ahead":     {"epoch": 1 << 40},
		"no client":       {"client_id": nil},
		"groups":          {"groups": []string{"admins"}, "amr": []string{"pwd"}},
	} {
		bad["claim "+name] = w.SignAs("access", header(nil), body(change))
	}
	for name, token := range bad {
		if l, err := w.VerifyAccess(t.Context(), token); !errors.Is(err, session.ErrNone) {
			t.Errorf("%s: got %+v, %v; want ErrNone", name, l, err)
		}
	}
	for i := range len(good) {
		b := []byte(good)
		b[i] ^= 1
		w.tokenRefused(string(b))
		w.tokenRefused(good[:i])
	}
	if _, err := w.VerifyAccess(t.Context(), good); err != nil {
		t.Fatal(err)
	}

	// And the other way: nothing signed is a cookie or a refresh token.
	for _, token := range []string{good, assertion} {
		w.refused(token)
		if _, err := w.Refresh(t.Context(), token, session.Origin{}); !errors.Is(err, session.ErrNone) {
			t.Errorf("refresh: %v", err)
		}
	}
	for _, token := range []string{o.Cookie.Reveal(), o.DomainCookie.Reveal()} {
		if _, err := w.Refresh(t.Context(), token, session.Origin{}); !errors.Is(err, session.ErrNone) {
			t.Errorf("refresh by a cookie: %v", err)
		}
	}
}

func TestIsOurs(t *testing.T) {
	w := newWorld(t)
	good := w.access(w.open(w.user("alice")).Live)
	theirs := "eyJhbGciOiJFZERTQSJ9." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://accounts.example.org"}`)) + ".c2ln"
	forged := "eyJhbGciOiJFZERTQSJ9." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+issuer+`"}`)) + ".c2ln"
	for token, want := range map[string]bool{
		good: true, forged: true, theirs: false, "": false, "a.b.c": false, "opaque": false, good + ".x": false, strings.Repeat(".", 1<<20): false,
	} {
		if w.IsOurs(token) != want {
			t.Errorf("IsOurs(%.40q) = %v", token, !want)
		}
	}
	w.tokenRefused(forged)
	first := w.Registry
	w.Registry = first.As("https://login.example.com")
	if w.IsOurs(good) {
		t.Error("a token of the former issuer is ours")
	}
	w.tokenRefused(good)
	if !first.IsOurs(good) {
		t.Error("the other issuer took the first one's place")
	}
	w.Registry = first.As("")
	if iss := w.Issuer(); !strings.HasPrefix(iss, "urn:sallyport:") {
		t.Errorf("issuer without a portal: %q", iss)
	}
}

func TestAssertion(t *testing.T) {
	w := newWorld(t)
	u := w.user("alice")
	o := w.open(u)
	const app = "https://app.example.com"
	for alg, want := range map[string]string{"": "EdDSA", "EdDSA": "EdDSA", "ES256": "ES256"} {
		token, err := w.Assertion(o.Live, app, alg)
		w.must(err)
		header, _ := parts(t, token)
		if header["typ"] != "sallyport-assertion+jwt" || header["alg"] != want {
			t.Errorf("header %v", header)
		}
		claims, err := w.upstream(token, app)
		w.must(err)
		for name, want := range map[string]any{
			"iss": issuer, "aud": app, "sub": u.ID.String(), "sid": o.ID, "realm": "users", "acr": "urn:sallyport:factors:2",
			"auth_time": float64(start.Unix()), "exp": float64(start.Unix() + 300), "nbf": float64(start.Unix()), "preferred_username": "alice",
		} {
			if claims[name] != want {
				t.Errorf("%s is %v, want %v", name, claims[name], want)
			}
		}
		if amr, _ := json.Marshal(claims["amr"]); string(amr) != `["pwd","otp"]` {
			t.Errorf("amr %s", amr)
		}
		if groups, ok := claims["groups"].([]any); !ok || len(groups) != 0 {
			t.Errorf("groups %v", claims["groups"])
		}
		if _, there := claims["epoch"]; there || claims["client_id"] != nil {
			t.Error("claims of an access token in an assertion")
		}
		if _, err := w.upstream(token, "https://other.example.com"); err == nil {
			t.Error("good for another upstream")
		}
	}
	for _, bad := range [][2]string{{"", ""}, {app, "none"}, {app, "HS256"}, {strings.Repeat("x", 600), ""}} {
		if _, err := w.Assertion(o.Live, bad[0], bad[1]); err == nil {
			t.Errorf("aud %.10q alg %q: no error", bad[0], bad[1])
		}
	}
	if _, err := w.Assertion(session.Live{}, app, ""); !errors.Is(err, session.ErrNone) {
		t.Errorf("nobody: %v", err)
	}
	program := account.Identity{ID: principal.NewID(), Kind: principal.Service, Name: "deploy", Realm: "robots", Enabled: true}
	token, err := w.Assertion(session.Live{Identity: &program, Proof: session.Proof{AMR: session.OTP, FactorAt: start}}, app, "")
	w.must(err)
	if _, claims := parts(t, token); claims["sub"] != program.ID.String() || claims["sid"] != nil {
		t.Errorf("a program's claims: %v", claims)
	}
}

// One assertion serves a session and an upstream for a minute, but not longer than
// what it says is true.
func TestAssertionIsCached(t *testing.T) {
	w := newWorld(t)
	u := w.user("alice")
	o := w.open(u)
	get := func(aud string) string {
		t.Helper()
		token, err := w.Assertion(w.passes(o.Cookie.Reveal()), aud, "")
		w.must(err)
		return token
	}
	first, other := get("https://a.example.com"), get("https://b.example.com")
	if first == other {
		t.Error("two upstreams, one assertion")
	}
	w.clock.Advance(59 * time.Second)
	if get("https://a.example.com") != first {
		t.Error("made anew within a minute")
	}
	w.clock.Advance(time.Second)
	second := get("https://a.example.com")
	if second == first {
		t.Error("older than a minute")
	}
	w.update(func(tx store.Tx) error {
		_, err := w.dir.Update(tx, account.Local(), u.ID, account.Change{Groups: &[]string{"ops"}})
		return err
	})
	_, claims := parts(t, get("https://a.example.com"))
	if groups, _ := json.Marshal(claims["groups"]); string(groups) != `["ops"]` {
		t.Errorf("groups %s a moment after the change", groups)
	}
	for i := range 10_000 { // more upstreams than it remembers
		if _, err := w.Assertion(o.Live, fmt.Sprintf("https://%d.example.com", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.Assertions(); n > 2*4096 {
		t.Errorf("%d assertions are held", n)
	}
}

func TestKeysRotate(t *testing.T) {
	w := newWorld(t)
	o := w.open(w.user("alice"), func(o *session.Opening) { o.Remember = true })
	const app = "https://app.example.com"
	old := w.access(o.Live)
	w.must(w.RotateKeys(t.Context()))
	fresh := w.access(o.Live)
	oldHeader, _ := parts(t, old)
	freshHeader, _ := parts(t, fresh)
	if oldHeader["kid"] == freshHeader["kid"] {
		t.Fatal("the same key signs")
	}
	w.must(w.RotateKeys(t.Context())) // twice at once: what was signed before is still good
	for range 2 {
		for _, token := range []string{old, fresh} {
			if _, err := w.VerifyAccess(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			if _, err := w.upstream(token, w.Audience()); err != nil {
				t.Fatal(err)
			}
		}
		w.restart()
	}
	w.clock.Advance(2 * time.Hour)
	w.must(w.RotateKeys(t.Context()))
	jwks, err := w.JWKS()
	w.must(err)
	if n := bytes.Count(jwks, []byte(`"kid"`)); n != 6 {
		t.Errorf("%d keys, want the current and the previous of three uses", n)
	}
	if bytes.Contains(jwks, []byte(`"d"`)) {
		t.Error("a private key is shown")
	}
	for range 20 {
		w.must(w.RotateKeys(t.Context()))
	}
	jwks, err = w.JWKS()
	w.must(err)
	if n := bytes.Count(jwks, []byte(`"kid"`)); n > 3*8 {
		t.Errorf("%d keys", n)
	}
	if n := w.caused(audit.KindKeys, "rotated"); n != 23 {
		t.Errorf("%d events, want 23", n)
	}

	before, err := w.Assertion(o.Live, app, "ES256")
	w.must(err)
	w.clock.Advance(89 * 24 * time.Hour)
	w.Beat()
	same, err := w.Assertion(o.Live, app, "ES256")
	w.must(err)
	w.clock.Advance(24 * time.Hour)
	w.Beat()
	later, err := w.Assertion(o.Live, app, "ES256")
	w.must(err)
	h1, _ := parts(t, before)
	h2, _ := parts(t, same)
	h3, _ := parts(t, later)
	if h1["kid"] != h2["kid"] || h1["kid"] == h3["kid"] {
		t.Errorf("keys at day 0, 89 and 90: %v %v %v", h1["kid"], h2["kid"], h3["kid"])
	}
}

// Two processes that start over one store at once agree on the keys.
func TestKeysAreMadeOnce(t *testing.T) {
	w := newWorld(t)
	o := w.open(w.user("alice"))
	others := []*session.Registry{w.Registry, w.registry(), w.registry(), w.registry()}
	tokens := make(chan string, len(others))
	for _, r := range others {
		go func() {
			token, _, err := r.Access(t.Context(), o.Live)
			if err != nil {
				t.Error(err)
			}
			tokens <- token
		}()
	}
	for range others {
		token := <-tokens
		for _, r := range others {
			if _, err := r.VerifyAccess(t.Context(), token); err != nil {
				t.Error(err)
			}
		}
	}
}
