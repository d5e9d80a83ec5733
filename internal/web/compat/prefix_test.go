package compat_test

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// What stands at a prefix answers before anything of ours below it would.
func TestAPrefixMeetsNothingOfOurs(t *testing.T) {
	for prefix, want := range map[string]bool{
		"/auth": true, "/api/v2/auth": true, "/api/auth": true, "/api/v10": true, "/apis": true, "/a.b-c_d": true, "/users": true, "/" + strings.Repeat("x", 63): true,
		"/api": false, "/API": false, "/api/v1": false, "/Api/V1/x": false, "/api/authz": false, "/api/authz/nginx": false, "/sallyport": false, "/Sallyport/x": false,
		"/user": false, "/user/x": false, "/healthcheck": false, "/verify/x": false, "/register": false, "/app": false, "/app/mfa": false, "/ungleichotp": false,
		"": false, "/": false, "auth": false, "/auth/": false, "/a//b": false, "/a/../b": false, "/.": false, "/a~b": false, "/a%62": false, "/a b": false, "/ä": false,
		"/" + strings.Repeat("x", 64): false,
	} {
		if compat.CleanPrefix(prefix) != want {
			t.Errorf("%q: %v", prefix, !want)
		}
	}
}
