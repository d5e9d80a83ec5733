package compat_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func TestSignerReadsWhatItSigned(t *testing.T) {
	s := compat.NewSigner(key(1), at(noon))
	token, err := s.Sign(struct {
		Subject string `json:"sub"`
		User    int64  `json:"user_id"`
		Expires int64  `json:"exp"`
		List    []int  `json:"list"`
	}{"7", 1<<62 + 1, noon.Unix() + 60, []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := s.Parse(token)
	if err != nil || claims["sub"] != "7" || claims["user_id"] != int64(1<<62+1) || claims["exp"] != noon.Unix()+60 || claims["list"].([]any)[0] != int64(1) {
		t.Errorf("%v, %v", claims, err)
	}
	if _, err := compat.NewSigner(key(1), at(noon.Add(time.Minute))).Parse(token); !errors.Is(err, compat.ErrExpired) {
		t.Errorf("a minute later: %v", err)
	}
	if _, err := s.Sign(map[string]any{"sub": "7"}); err == nil {
		t.Error("a token without exp was signed")
	}
	if _, err := compat.NewSigner(nil, at(noon)).Sign(map[string]any{"exp": noon.Unix() + 60}); err == nil {
		t.Error("a token was signed without a key")
	}
}

// Attack: a token of another kind or another installation, one that nobody signed,
// one whose header says how it wants to be read. None may tell even that it would
// have expired.
func TestForeignTokensAreNoTokens(t *testing.T) {
	later, earlier := jwt.MapClaims{"exp": noon.Unix() + 60}, jwt.MapClaims{"exp": noon.Unix() - 60}
	sign := func(m jwt.SigningMethod, k any, claims jwt.MapClaims, header map[string]any) string {
		t.Helper()
		token := jwt.NewWithClaims(m, claims)
		for name, value := range header {
			token.Header[name] = value
			if value == nil {
				delete(token.Header, name)
			}
		}
		text, err := token.SignedString(k)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := sign(jwt.SigningMethodHS256, key(1), later, nil)
	s := compat.NewSigner(key(1), at(noon))
	if _, err := s.Parse(good); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"another key":              sign(jwt.SigningMethodHS256, key(2), later, nil),
		"another key, expired":     sign(jwt.SigningMethodHS256, key(2), earlier, nil),
		"no signature":             sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, later, nil),
		"another algorithm":        sign(jwt.SigningMethodHS512, key(1), later, nil),
		"another header member":    sign(jwt.SigningMethodHS256, key(1), later, map[string]any{"kid": "x"}),
		"another type":             sign(jwt.SigningMethodHS256, key(1), later, map[string]any{"typ": "at+jwt"}),
		"no type":                  sign(jwt.SigningMethodHS256, key(1), later, map[string]any{"typ": nil}),
		"another header, expired":  sign(jwt.SigningMethodHS256, key(1), earlier, map[string]any{"kid": "x"}),
		"no exp":                   sign(jwt.SigningMethodHS256, key(1), jwt.MapClaims{"sub": "7"}, nil),
		"a text as exp":            sign(jwt.SigningMethodHS256, key(1), jwt.MapClaims{"exp": "tomorrow"}, nil),
		"a broken number":          sign(jwt.SigningMethodHS256, key(1), jwt.MapClaims{"exp": noon.Unix() + 60, "user_id": 1.5}, nil),
		"more at its end":          good + "=",
		"cut":                      good[:len(good)-2],
		"nothing":                  "",
		"spaces":                   " " + good,
		"four parts":               good + ".x",
		"longer than any of ours":  good + string(bytes.Repeat([]byte("a"), 5000)),
		"not trimmed to the point": good + "\n",
	} {
		if claims, err := s.Parse(token); !errors.Is(err, compat.ErrToken) || claims != nil {
			t.Errorf("%s: %v, %v", name, claims, err)
		}
	}
	if _, err := compat.NewSigner([]byte("published default"), at(noon)).Parse(sign(jwt.SigningMethodHS256, []byte("published default"), later, nil)); !errors.Is(err, compat.ErrToken) {
		t.Errorf("a short key: %v", err)
	}
}
