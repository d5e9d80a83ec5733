package principal

import (
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"
)

const (
	// maxAddress bounds an e-mail address, in bytes (RFC 5321 section
	// 4.5.3.1.3: a path of 256 with its angle brackets).
	maxAddress = 254
	// maxLocal bounds what stands before the @, in bytes (RFC 5321 section
	// 4.5.3.1.1).
	maxLocal = 64
)

// CanonicalAddress returns the one spelling of an e-mail address: exactly one
// @, the local part mapped and lower-cased like a name, the domain in ASCII
// (IDNA 2008) and lower case. An address is compared, stored and sent to in
// this form only: a second @, a quote, a comma, a bracket or a line break that
// a mail program and we would read differently is refused. Display names,
// comments, quoted local parts, IP literals and trailing dots are refused too.
// Errors: ErrName.
func CanonicalAddress(s string) (string, error) {
	if len(s) > maxInput {
		return "", refuse("this address has %d bytes, at most %d are allowed", len(s), maxAddress)
	}
	local, domain, found := strings.Cut(s, "@")
	if !found || strings.Contains(domain, "@") {
		return "", refuse("the address %s must have exactly one @", quote(s))
	}
	clocal, err := canonicalLocal(s, local)
	if err != nil {
		return "", err
	}
	cdomain, err := domainProfile().ToASCII(domain)
	if err != nil || cdomain == "" || strings.HasSuffix(cdomain, ".") {
		return "", refuse("the part after the @ of %s is not a domain name", quote(s))
	}
	if again, err := domainProfile().ToASCII(cdomain); err != nil || again != cdomain {
		return "", refuse("the part after the @ of %s is not a domain name", quote(s))
	}
	address := clocal + "@" + cdomain
	if len(address) > maxAddress {
		return "", refuse("this address has %d bytes, at most %d are allowed", len(address), maxAddress)
	}
	return address, nil
}

func canonicalLocal(address, local string) (string, error) {
	mapped, err := canonical("part before the @", local, precis.UsernameCaseMapped, maxLocal)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(mapped, "\"\\()<>[]:;`") {
		return "", refuse("the part before the @ of %s has a quote or a bracket: letters, digits and . _ + - ' are allowed", quote(address))
	}
	if strings.HasPrefix(mapped, ".") || strings.HasSuffix(mapped, ".") || strings.Contains(mapped, "..") {
		return "", refuse("the part before the @ of %s begins or ends with a dot or has two in a row", quote(address))
	}
	return mapped, nil
}

func domainProfile() *idna.Profile {
	return idna.New(
		idna.MapForLookup(),
		idna.BidiRule(),
		idna.Transitional(false),
		idna.StrictDomainName(true),
		idna.VerifyDNSLength(true),
	)
}
