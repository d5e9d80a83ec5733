package trench_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// A further factor needs a fresh one: a stolen token does not make itself a factor.
func TestAFurtherFactorNeedsAFreshOne(t *testing.T) {
	h := build(t, compat.Dialect02)
	seed, _ := h.person("admin")
	auth := h.second("/auth/token/", "admin", h.code(seed))
	id := h.id("admin")
	h.Must(h.update(func(tx store.Tx) error { // a factor of another kind alone
		_, err := h.Directory.SetMethods(tx, account.Local(), id, []account.Method{{Name: "email", Primary: true, AddedAt: tx.Now()}}, false)
		return err
	}))
	h.object("freshly", h.post("/auth/app/activate/", "", auth), "qr_link")
	h.Time.Advance(account.Fresh + time.Second)
	h.want("later", h.post("/auth/app/activate/", "", auth), 403, `{"detail":"Prove your second factor again first."}`)
}

// Logout, a disabled account and a new factor elsewhere end the tokens of every kind.
func TestS1S6TokensEndWithTheirSession(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		h.User("admin", "trench", "", password)
		for _, kind := range kinds {
			auth, stays := h.login(kind.door, "admin"), h.login(kind.door, "admin")
			h.want("logout", h.post("/auth/token/logout/", "", auth), 204, "")
			if got := h.get("/auth/mfa/user-active-methods/", auth); got.Status != 401 {
				t.Errorf("%s after logout: %d", kind.name, got.Status)
			}
			if got := h.get("/auth/mfa/user-active-methods/", stays); got.Status != 200 {
				t.Errorf("%s: another session ended: %d", kind.name, got.Status)
			}
		}
		pair := h.object("login", h.post("/auth/jwt/login/", h.form("username", "admin", "password", password), ""), "refresh", "access")
		weak := []string{h.login("/auth/", "admin"), h.login("/auth/token/", "admin"), "Bearer " + pair["access"].(string)}
		auth := h.login("/auth/token/", "admin")
		seed := h.activate(auth)
		h.confirm(auth, h.code(seed))
		for _, old := range weak {
			if got := h.get("/auth/mfa/user-active-methods/", old); got.Status != 401 {
				t.Errorf("a session of one factor lives on: %d", got.Status)
			}
		}
		if got := h.post("/auth/jwt/refresh/", h.form("refresh", pair["refresh"].(string)), ""); got.Status != 401 {
			t.Errorf("and refreshes: %d", got.Status)
		}
		h.Must(h.disable("admin"))
		if got := h.get("/auth/mfa/user-active-methods/", auth); got.Status != 401 {
			t.Errorf("disabled: %d", got.Status)
		}
	})
}

// A token is good for its own kind: not under another header, not with a changed bit,
// not for a session of another door, whoever made it.
func TestS5TokensOfOtherKinds(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		h.User("admin", "trench", "", password)
		h.Must(h.update(func(tx store.Tx) error {
			_, err := h.Directory.SetRealm(tx, account.Local(), "users", settings(), nil, 0)
			return err
		}))
		h.User("other", "users", "", password)
		for _, kind := range kinds {
			auth := h.login(kind.door, "admin")
			mine, token, _ := strings.Cut(auth, " ")
			for _, scheme := range []string{"JWT", "Bearer", "Token"} {
				if got := h.get("/auth/mfa/user-active-methods/", scheme+" "+token); (got.Status == 200) != (scheme == mine) {
					t.Errorf("a token of %s as %s: %d", mine, scheme, got.Status)
				}
			}
			for i := range token {
				changed := []byte(token)
				if changed[i] ^= 1; changed[i] == '.' {
					continue
				}
				if got := h.get("/auth/mfa/user-active-methods/", mine+" "+string(changed)); got.Status != 401 {
					t.Fatalf("%s with a changed bit at %d: %d", mine, i, got.Status)
				}
			}
			for _, cut := range []string{token[:len(token)-1], token + "0", strings.ToUpper(token)} {
				if got := h.get("/auth/mfa/user-active-methods/", mine+" "+cut); got.Status != 401 {
					t.Errorf("%s cut or grown: %d", mine, got.Status)
				}
			}
		}
		next, err := h.Doors.Password(t.Context(), login.Attempt{Login: "admin@trench", Password: password, Door: login.API})
		h.Must(err)
		claims := map[string]any{"sid": next.Opened.ID, "exp": h.Time.Now().Add(time.Minute).Unix()}
		for scheme, purpose := range map[string]string{"JWT": "jwt", "Bearer": "access"} {
			token, err := compat.NewSigner(h.Derive("compat trench "+purpose), h.Clock).Sign(claims)
			h.Must(err)
			if got := h.get("/auth/mfa/user-active-methods/", scheme+" "+token); got.Status != 401 {
				t.Errorf("a session of the API opens %s calls: %d", scheme, got.Status)
			}
		}
		next, err = h.Doors.Password(t.Context(), login.Attempt{Login: "other", Realm: "users", Password: password, Door: login.Trench})
		h.Must(err)
		claims["sid"] = next.Opened.ID
		token, err := compat.NewSigner(h.Derive("compat trench access"), h.Clock).Sign(claims)
		h.Must(err)
		if got := h.get("/auth/mfa/user-active-methods/", "Bearer "+token); got.Status != 401 {
			t.Errorf("a session of another realm opens calls: %d", got.Status)
		}
		h.person("bob")
		token, err = compat.NewSigner(h.Derive("compat trench enrol"), h.Clock).Sign(map[string]any{"eph": h.half("bob"), "exp": claims["exp"]})
		h.Must(err)
		if got := h.post("/auth/app/activate/", "", "Bearer "+token); got.Status != 401 {
			t.Errorf("a half login as a token for enrolment: %d %s", got.Status, got.Body)
		}
		if got := h.get("/auth/mfa/user-active-methods/", "Bearer "+token); got.Status != 401 {
			t.Errorf("a half login as a token for enrolment is known: %d %s", got.Status, got.Body)
		}
		none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sid":"`+next.Opened.ID+`","exp":9999999999}`)) + "."
		if got := h.get("/auth/mfa/user-active-methods/", "Bearer "+none); got.Status != 401 {
			t.Errorf("alg none: %d", got.Status)
		}
	})
}

// Sessions of the facade are nobody's elsewhere, and no cookie is read or set.
func TestS3NoCookies(t *testing.T) {
	h := build(t, compat.Dialect03)
	h.User("admin", "trench", "", password)
	got := h.Do("POST", "/auth/login/", h.form("username", "admin", "password", password), "Content-Type: application/x-www-form-urlencoded", "Cookie: sallyport_browser=x")
	if len(got.Header["Set-Cookie"]) != 0 || got.Status != http.StatusOK {
		t.Errorf("%d, cookies %v", got.Status, got.Header["Set-Cookie"])
	}
}

// Nothing secret and nobody's name reaches the log.
func TestS8TheLogHoldsNoSecret(t *testing.T) {
	h := build(t, compat.Dialect02)
	seed, codes := h.person("admin")
	eph := h.half("admin")
	code := h.code(seed)
	auth := h.tokens("/auth/", h.post("/auth/login/code/", h.form("ephemeral_token", eph, "code", code), ""))
	h.post("/auth/login/", h.form("username", "canary-nobody", "password", "canary-password"), "")
	h.post("/auth/login/code/", h.form("ephemeral_token", "canary-token", "code", "canary-code"), "")
	h.post("/auth/app/codes/regenerate/", h.form("code", codes[0]), auth)
	h.get("/auth/mfa/user-active-methods/", "Token canary-token")
	log := h.Logged()
	for _, s := range []string{"canary", password, seed, eph, code, codes[0], strings.TrimPrefix(auth, "JWT ")} {
		if strings.Contains(log, s) {
			t.Errorf("the log holds %.10q…", s)
		}
	}
}
