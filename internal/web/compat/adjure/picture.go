package adjure

import (
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const (
	// maxLabel bounds issuer and username, in bytes: with both at the bound and
	// escaped three times the text still fits a QR code.
	maxLabel = 256
	// pixels of a module of the picture, a side.
	pixels = 10
)

// qrcode draws the authenticator's secret. That is for the one who sets it up: after
// its first good code it would give the factor away for ever.
func (f *Facade) qrcode(c *call) error {
	params, err := c.query(qrcodeSchema)
	if err != nil {
		return err
	}
	issuer, username := valid(params.text("issuer")), valid(params.text("username"))
	if len(issuer) > maxLabel || len(username) > maxLabel {
		return refuse(invalidParams, "issuer and username have at most %d bytes each.", maxLabel)
	}
	var e *factor.Enrollment
	var used bool
	var u *account.User
	err = f.Store.View(c.r.Context(), func(tx store.Tx) error {
		u, err = f.shows(tx, c, params)
		if err == nil {
			e, used, err = f.Factors.Reveal(tx, u.ID)
		}
		return err
	})
	switch {
	case missing(err):
		return errNobody
	case err != nil:
		return err
	case used && !f.CodeOracle:
		return refuse(invalidParams, "This authenticator was used already, and is not shown again: set code_oracle of compat.adjure to allow it.")
	}
	picture, err := factor.QRModules(uri(issuer, username, e), factor.QRLow, pixels)
	if err != nil {
		return err
	}
	f.Shown(name, "seed", u.ID, u.Ref(), c.client.Addr, "compat "+name)
	c.w.Header().Set("Content-Type", "image/png")
	_, _ = c.w.Write(picture)
	return nil
}

// valid is a text of a query as the original has it: what is no UTF-8 is replaced.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// uri is an authenticator as the original writes it: its own order of parameters, in
// which a space is a plus, and a label in which it is %20. The issuer may be empty.
func uri(issuer, username string, e *factor.Enrollment) string {
	label := escape(username, "/")
	if issuer != "" {
		label = escape(issuer, "/") + ":" + label
	}
	return "otpauth://totp/" + label + "?digits=" + strconv.Itoa(e.Params.Digits) + "&secret=" + otp.FormatSeed(e.Seed.Reveal()) +
		"&algorithm=" + string(e.Params.Algorithm) + "&issuer=" + strings.ReplaceAll(escape(issuer, " "), " ", "+") + "&period=" + strconv.Itoa(e.Params.Period)
}

// escape leaves the unreserved characters of RFC 3986 and those of safe.
func escape(s, safe string) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0, strings.IndexByte(safe, c) >= 0:
			out = append(out, c)
		default:
			out = append(out, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(out)
}
