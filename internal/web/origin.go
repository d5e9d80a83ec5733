package web

import (
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/guard"
)

// Site says where a request comes from, as far as the browser tells.
type Site uint8

const (
	// SiteUnknown: neither Origin nor Sec-Fetch-Site was sent.
	SiteUnknown Site = iota
	// SiteSame: all that was sent says that it comes from us.
	SiteSame
	// SiteForeign: something that was sent says otherwise.
	SiteForeign
)

// SiteOf says where a request comes from. self are our own origins
// ("https://auth.example.com"), compared exactly. A sibling subdomain
// ("same-site") is foreign; "none" (typed by a person) is ours; Origin: null
// is foreign.
func SiteOf(r *http.Request, self ...string) Site {
	site := SiteUnknown
	if values, sent := r.Header["Sec-Fetch-Site"]; sent {
		if len(values) != 1 || values[0] != "same-origin" && values[0] != "none" {
			return SiteForeign
		}
		site = SiteSame
	}
	if values, sent := r.Header["Origin"]; sent {
		if len(values) != 1 || !OneOf(values[0], self) {
			return SiteForeign
		}
		site = SiteSame
	}
	return site
}

// Unsafe reports whether a method may change something (RFC 9110 section
// 9.2.1).
func Unsafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return false
	}
	return true
}

// OneOf reports whether origin is one of list, exactly.
func OneOf(origin string, list []string) bool {
	for _, o := range list {
		if o != "" && o == origin {
			return true
		}
	}
	return false
}

// OwnOrigin is the origin under which a browser reached this request: scheme
// and canonical host with its port unless it is the scheme's own. "" for a
// Host that is not valid.
func OwnOrigin(scheme, host string) string {
	name, err := guard.CanonicalHost(host)
	if err != nil || scheme != "http" && scheme != "https" {
		return ""
	}
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		if port := host[i+1:]; !(scheme == "https" && port == "443" || scheme == "http" && port == "80") {
			return scheme + "://" + name + ":" + port
		}
	}
	return scheme + "://" + name
}
