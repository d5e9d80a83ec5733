package compat

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// silentProxies are headers that proxies and CDNs set besides those that
// [web.Forwarded] knows, as small letters and digits. No program of this host has a
// reason to send one.
var silentProxies = map[string]bool{
	"clientip": true, "xremoteip": true, "xproxyuserip": true, "xoriginatingip": true,
	"cfconnectingip": true, "cfray": true, "cdnloop": true, "fastlyclientip": true, "flyclientip": true, "xazureclientip": true,
	"xenvoyexternaladdress": true, "xamzntraceid": true,
}

// Here reports whether a request comes from this host itself, as far as it can be
// told: its address is loopback, nothing in it says that somebody passed it on, and it
// is no HTTP/1.0, which proxies speak that were told nothing (nginx's bare proxy_pass)
// and programs do not.
func Here(r *http.Request, addr netip.Addr) bool {
	if !addr.IsLoopback() || web.WasForwarded(r) || !r.ProtoAtLeast(1, 1) {
		return false
	}
	for name := range r.Header {
		if silentProxies[letters(name)] {
			return false
		}
	}
	return true
}

// letters is a header name without what its spellings differ in.
func letters(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			return c
		case 'A' <= c && c <= 'Z':
			return c + 'a' - 'A'
		}
		return -1
	}, name)
}

// ownName reports whether a request came under a name that nobody else can make point
// to us: a loopback host, one of the configuration's, or the very address to which its
// connection was made.
func (g *Gate) ownName(r *http.Request) bool {
	host, err := guard.RequestHost(r.Host)
	if err != nil {
		return false
	}
	return LoopbackHost(host) || g.common.OwnHost != nil && g.common.OwnHost(host) || ownAddress(r, host)
}

// ownAddress reports whether a canonical host is the address at this end of the
// connection.
func ownAddress(r *http.Request, host string) bool {
	ip, err := netip.ParseAddr(unbracketed(host))
	local, known := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if err != nil || !known {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	return err == nil && at.Addr().Unmap().WithZone("") == ip.Unmap()
}

// LoopbackHost reports whether a canonical host is localhost or a loopback address.
func LoopbackHost(host string) bool {
	ip, err := netip.ParseAddr(unbracketed(host))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func unbracketed(host string) string {
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		return host[1 : n-1]
	}
	return host
}
