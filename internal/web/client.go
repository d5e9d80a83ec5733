package web

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Trusted says whose forwarding headers count. The zero Trusted trusts nobody.
type Trusted struct {
	// Prefixes of peers.
	Prefixes []netip.Prefix
	// Unix trusts whoever may connect to our own unix socket.
	Unix bool
}

// Loopback is the default of shells that only answer: this host, and our own
// socket.
func Loopback() Trusted {
	return Trusted{Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, Unix: true}
}

// Contains reports whether an address is one of Prefixes.
func (t *Trusted) Contains(ip netip.Addr) bool {
	return ip.IsValid() && slices.ContainsFunc(t.Prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// Peer returns the address of whoever is connected, not valid for a unix
// socket, without zone and unmapped.
func Peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// unixPeer reports whether the connection came over a unix socket, whose peers
// have no address: net/http then has "" or "@".
func unixPeer(r *http.Request) bool { return r.RemoteAddr == "" || r.RemoteAddr == "@" }

// TrustsPeer reports whether forwarding headers of this request count.
func (t *Trusted) TrustsPeer(r *http.Request) bool {
	if unixPeer(r) {
		return t.Unix
	}
	return t.Contains(Peer(r))
}

// ErrForwardedFor: an element of X-Forwarded-For that had to be read is not an
// address.
var ErrForwardedFor = errors.New("X-Forwarded-For is malformed")

// Client returns who is asking: the peer, or what a trusted peer's
// X-Forwarded-For says, read from the right past trusted addresses. Reading ends at
// garbage too: the address beside it is the client. With garbage at the right end
// nobody knows the client: the address is not valid, and in no network, because the
// proxy's own would open rules for its network. It is not valid either where a unix
// socket's peer says nothing.
func (t *Trusted) Client(r *http.Request) netip.Addr {
	client, _ := t.ForwardedClient(r)
	return client
}

// ForwardedClient is Client for those who refuse what they cannot read.
// Errors: ErrForwardedFor, for an element that was read. What stands left of an
// untrusted address is that client's own text, and is not read.
func (t *Trusted) ForwardedClient(r *http.Request) (netip.Addr, error) {
	client := Peer(r)
	if !t.TrustsPeer(r) {
		return client, nil
	}
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		for rest := lines[i]; ; {
			at := strings.LastIndexByte(rest, ',')
			ip, err := netip.ParseAddr(strings.Trim(rest[at+1:], " \t"))
			if err != nil || ip.Zone() != "" {
				if i == len(lines)-1 && len(rest) == len(lines[i]) { // nothing was read yet
					client = netip.Addr{}
				}
				return client, ErrForwardedFor
			}
			client = ip.Unmap()
			if !t.Contains(client) {
				return client, nil
			}
			if at < 0 {
				break
			}
			rest = rest[:at]
		}
	}
	return client, nil
}

// Scheme is the scheme by which a browser reached us: the connection's own, or
// what one X-Forwarded-Proto of a trusted peer says. Anything but http and https
// there, and two of them, say nothing.
func (t *Trusted) Scheme(r *http.Request) string {
	if proto := r.Header["X-Forwarded-Proto"]; len(proto) == 1 && t.TrustsPeer(r) {
		if proto[0] == "https" || proto[0] == "http" {
			return proto[0]
		}
	}
	return Scheme(r)
}
