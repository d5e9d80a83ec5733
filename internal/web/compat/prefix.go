package compat

import (
	"path"
	"slices"
	"strings"
)

// maxPrefix bounds the prefix of trench, in bytes.
const maxPrefix = 64

// taken are paths of this gateway and of the other facades: with all below them, and
// with what they are below.
var taken = []string{"/sallyport", "/api/v1", "/api/authz", "/user", "/healthcheck", "/verify", "/register", "/app", "/ungleichotp"}

// Taken are the paths that no prefix may meet, in words.
func Taken() string { return strings.Join(taken, ", ") }

// CleanPrefix reports whether trench may stand below a path: an absolute one with one
// spelling, so that raw paths may be compared with it, and nothing of ours at it, above
// it or below it in any case of its letters.
func CleanPrefix(prefix string) bool {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/-_.", r)
	}
	if len(prefix) < 2 || len(prefix) > maxPrefix || prefix[0] != '/' || path.Clean(prefix) != prefix || strings.ContainsFunc(prefix, odd) {
		return false
	}
	low := strings.ToLower(prefix) + "/"
	return !slices.ContainsFunc(taken, func(one string) bool {
		return strings.HasPrefix(low, one+"/") || strings.HasPrefix(one+"/", low)
	})
}
