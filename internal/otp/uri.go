package otp

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxURI bounds an otpauth URI that is read, in bytes.
	maxURI = 4096
	// maxLabel bounds each part of a label, in bytes: an authenticator app
	// shows one line, and a QR code has to stay readable.
	maxLabel = 128
	// nameless is the account of a label that has none: apps refuse an empty one.
	nameless = "account"
)

// Label is what an authenticator app shows: who issued the seed, to whom.
type Label struct{ Issuer, Account string }

// Clean returns the label as a URI can carry it: without colons (they separate
// the two parts), control characters and invalid UTF-8, trimmed, each part at
// most 128 bytes. An empty account becomes "account".
func (l Label) Clean() Label {
	l.Issuer, l.Account = cleanLabel(l.Issuer), cleanLabel(l.Account)
	if l.Account == "" {
		l.Account = nameless
	}
	return l
}

func cleanLabel(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == ':' || r == utf8.RuneError || unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	for len(s) > maxLabel {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.TrimSpace(s)
}

// URI returns the otpauth URI of a seed, as Google's key URI format wants it:
// the label Issuer:Account, percent-encoded (a space is %20, never +), the
// secret in base32 without padding, the issuer once more, and all parameters
// spelled out. The label is cleaned first. The URI is as secret as the seed.
func URI(l Label, seed []byte, p Params) string {
	l = l.Clean()
	var b strings.Builder
	b.WriteString("otpauth://totp/")
	if l.Issuer != "" {
		b.WriteString(escape(l.Issuer) + ":")
	}
	b.WriteString(escape(l.Account) + "?secret=" + FormatSeed(seed))
	if l.Issuer != "" {
		b.WriteString("&issuer=" + escape(l.Issuer))
	}
	b.WriteString("&algorithm=" + string(p.Algorithm) +
		"&digits=" + strconv.Itoa(p.Digits) + "&period=" + strconv.Itoa(p.Period))
	return b.String()
}

// escape leaves the unreserved characters of RFC 3986 and encodes all others:
// good in a path and in a query alike.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// ParseURI reads an otpauth URI of type totp. Missing parameters take their
// documented defaults, unknown ones are ignored, doubled ones refused, and so
// are those that are not Usual; where
// the label and the parameter name different issuers, the parameter wins.
// The label comes back clean. The errors never repeat the URI.
func ParseURI(text string) (Label, []byte, Params, error) {
	fail := func(reason string) (Label, []byte, Params, error) {
		return Label{}, nil, Params{}, errors.New("read otpauth URI: " + reason)
	}
	if len(text) > maxURI {
		return fail("it is too long")
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "otpauth" || u.User != nil || u.Fragment != "" {
		return fail("otpauth://totp/Issuer:Account?secret=… is expected")
	}
	if !strings.EqualFold(u.Host, "totp") {
		return fail("only the type totp is supported")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fail("its parameters are malformed")
	}
	for _, values := range query {
		if len(values) > 1 {
			return fail("a parameter stands there twice")
		}
	}
	p, err := parseParams(query)
	if err != nil {
		return fail(err.Error())
	}
	seed, err := ParseSeed(query.Get("secret"))
	if err != nil {
		return fail(err.Error())
	}
	l := parseLabel(strings.TrimPrefix(u.Path, "/"))
	if issuer := query.Get("issuer"); issuer != "" {
		l.Issuer = issuer
	}
	if l.Account == "" {
		return fail("it names no account")
	}
	return l.Clean(), seed, p, nil
}

func parseLabel(path string) Label {
	issuer, account, found := strings.Cut(path, ":")
	if !found {
		return Label{Account: strings.TrimSpace(path)}
	}
	return Label{Issuer: strings.TrimSpace(issuer), Account: strings.TrimSpace(account)}
}

func parseParams(query url.Values) (Params, error) {
	p := Default()
	if s := query.Get("algorithm"); s != "" {
		p.Algorithm = Algorithm(upper(s))
	}
	for name, target := range map[string]*int{"digits": &p.Digits, "period": &p.Period} {
		if s := query.Get(name); s != "" {
			n, err := strconv.Atoi(s)
			if err != nil {
				return Params{}, errors.New(name + " is not a number")
			}
			*target = n
		}
	}
	return p, p.Usual()
}
