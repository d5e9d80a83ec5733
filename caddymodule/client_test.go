package caddymodule

import (
	"net/netip"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// X3. Attack: a proxy in front writes what it was told, "unknown", or nothing that is
// an address. If that meant the proxy, its client would be let in by a rule for the
// proxy's own network.
func TestX3WhatCannotBeReadIsNobody(t *testing.T) {
	for _, c := range []struct {
		list []string
		want string // "": no address
	}{
		{[]string{"203.0.113.7"}, "203.0.113.7"}, {[]string{"1.1.1.1", " 203.0.113.7 "}, "203.0.113.7"}, {[]string{"203.0.113.7:80"}, "203.0.113.7"},
		{[]string{"2001:db8::1"}, "2001:db8::1"}, {[]string{"[2001:db8::1]"}, "2001:db8::1"}, {[]string{"[2001:db8::1]:443"}, "2001:db8::1"}, {[]string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		{[]string{"unknown"}, ""}, {[]string{"203.0.113.7", "unknown"}, ""}, {[]string{""}, ""}, {[]string{"[2001:db8::1"}, ""}, {[]string{"2001:db8::1]"}, ""}, {[]string{"127.0.0.1;"}, ""}, {nil, ""},
	} {
		var want netip.Addr
		if c.want != "" {
			want = netip.MustParseAddr(c.want)
		}
		if got := beyond(&caddyhttp.Server{}, c.list); got != want {
			t.Errorf("%q: %v, want %v", c.list, got, want)
		}
	}
}
