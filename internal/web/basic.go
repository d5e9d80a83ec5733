package web

import (
	"encoding/base64"
	"strings"
)

// BasicChallenge asks a program for its name@realm and token (RFC 7617).
const BasicChallenge = `Basic realm="sallyport", charset="UTF-8"`

// maxBasic bounds a credential that is read, in bytes: a name@realm and a token in
// base64 are shorter.
const maxBasic = 2048

// BasicCredential reads an Authorization value of scheme Basic (RFC 7617 section 2).
// The guard reads one by itself: it must also tell whose it is.
func BasicCredential(value string) (name, password string, ok bool) {
	scheme, text, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Basic") || len(text) > maxBasic {
		return "", "", false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.Trim(text, " "))
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(plain), ":")
}
