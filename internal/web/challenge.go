package web

import (
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
)

// LoginPath is the first door.
const LoginPath = "/sallyport/login"

// maxLocation bounds a Location, in bytes: proxies read an answer's head into
// buffers of 4 KiB. A longer way back is left out.
const maxLocation = 3 << 10

// LoginLocation is where a challenge sends to: the login page of the portal
// ("" : of the host itself) with the original request as signed target. origin
// is that of the original request (OwnOrigin), uri its raw path and query. A
// target that Targets would not allow is left out.
func LoginLocation(t *guard.Targets, portal, origin, uri string, now time.Time) string {
	if portal == "" || portal == origin {
		login := origin + LoginPath
		location := login + "?" + guard.TargetParam + "=" + url.QueryEscape(uri)
		if _, ok := t.Local(uri); !ok || len(location) > maxLocation {
			return login
		}
		return location
	}
	target := origin + uri
	signature := t.Sign(target, now)
	location := portal + LoginPath + "?" + guard.TargetParam + "=" + url.QueryEscape(target) + "&" + guard.SignatureParam + "=" + signature
	if _, ok := t.Allowed(target, signature, now); !ok || len(location) > maxLocation {
		return portal + LoginPath
	}
	return location
}

// Unauthorized sets WWW-Authenticate for a 401. basic: Basic may be offered,
// because no browser would ask a person for it; it is, where the rule admits
// services.
func Unauthorized(h http.Header, d *guard.Decision, basic bool) {
	value := `Bearer realm="sallyport"`
	if d.BadProof {
		value += `, error="invalid_token"`
	}
	challenges := []string{value}
	if basic && d.Services {
		challenges = append(challenges, `Basic realm="sallyport", charset="UTF-8"`)
	}
	h["Www-Authenticate"] = challenges
}

// OtherSpelling reports whether h has a header with the letters of one of
// names in another spelling (X_Forwarded_Uri).
func OtherSpelling(h http.Header, names []string) bool {
	for name := range h {
		if everyday(name) || first(name) != 'x' {
			continue
		}
		for _, n := range names {
			if name != n && sameName(name, n) {
				return true
			}
		}
	}
	return false
}

// sameName reports whether two names have the same letters.
func sameName(a, b string) bool {
	i, j := 0, 0
	for {
		var ca, cb byte
		for ca = 0; i < len(a) && ca == 0; i++ {
			ca, _ = letter(a[i])
		}
		for cb = 0; j < len(b) && cb == 0; j++ {
			cb, _ = letter(b[j])
		}
		if ca != cb {
			return false
		}
		if ca == 0 {
			return true
		}
	}
}
