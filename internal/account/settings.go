package account

import (
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/otp"
)

// Limits of settings.
const (
	// minRecoveryBits is of one code: six digits, as older systems have them. The
	// throttle and the key of the MAC protect those; the default has 79 bits.
	minRecoveryBits     = 19
	maxRecoveryCount    = 100
	minRecoveryChars    = 6
	maxRecoveryChars    = 64
	maxRecoveryAlphabet = 128
	maxMethods          = 16
	maxMethodName       = 32 // bytes
	maxLifetime         = 366 * 24 * time.Hour
	minSecret           = 32 // base32 characters: 160 bits (RFC 4226 section 4, R6)
	maxSecret           = 128
	maxIssuer           = 64 // bytes: a line in an app
	minCodeLife         = 30 * time.Second
	maxCodeLife         = time.Hour // a six-digit code that rests in a mailbox
	minTrusted          = time.Hour // less is what a session is for
)

// recoveryAlphabet has no look-alikes: no i, l, o, 0, 1.
const recoveryAlphabet = "abcdefghjkmnpqrstuvwxyz23456789"

// DefaultSettings are the settings of a realm where nothing else is set.
func DefaultSettings(realm string) Settings {
	factors, skew, secret, yes, trusted := 2, 1, minSecret, true, 30*24*time.Hour
	params := otp.Default()
	s := Settings{
		Factors:       &factors,
		Enrollment:    EnrollFirstLogin,
		OTP:           &params,
		Skew:          &skew,
		RecoveryCodes: &RecoverySettings{Count: 10, Length: 16, Alphabet: recoveryAlphabet},
		Session:       &Lifetimes{Idle: 8 * time.Hour, Absolute: 7 * 24 * time.Hour, Remember: 30 * 24 * time.Hour},
		Replay:        ReplayDeny,
		Names:         NamesPrecis,
		SecretLength:  &secret,

		TrustedBrowsers: &trusted,

		ConfirmDisable: &yes, ConfirmRegenerate: &yes, AllowRegenerate: &yes,
	}
	s = s.clone()
	if realm == AdminRealm {
		s.Enrollment = EnrollInvitation
		s.Session = &Lifetimes{Idle: 30 * time.Minute, Absolute: 8 * time.Hour}
		*s.TrustedBrowsers = 0
	}
	return s
}

// defaults are DefaultSettings with the configured lives of sessions, which
// administrators' sessions do not have: theirs stay short.
func (d *Directory) defaults(realm string) Settings {
	s := DefaultSettings(realm)
	if d.lifetimes != nil && realm != AdminRealm {
		s.Session = d.lifetimes
	}
	return s
}

// over returns s with the fields of top that are set.
func (s Settings) over(top Settings) Settings {
	result, from := reflect.ValueOf(&s).Elem(), reflect.ValueOf(top)
	for i := range from.NumField() {
		if !unset(from.Field(i)) {
			result.Field(i).Set(from.Field(i))
		}
	}
	return s
}

func unset(v reflect.Value) bool {
	return v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

// without returns s without the fields that fixed sets, or the JSON name of the
// first field that s sets otherwise.
func (s Settings) without(fixed Settings) (rest Settings, conflict string) {
	rest = s
	result, from := reflect.ValueOf(&rest).Elem(), reflect.ValueOf(fixed)
	for i := range from.NumField() {
		if unset(from.Field(i)) || unset(result.Field(i)) {
			continue
		}
		if !reflect.DeepEqual(result.Field(i).Interface(), from.Field(i).Interface()) {
			name, _, _ := strings.Cut(from.Type().Field(i).Tag.Get("json"), ",")
			return Settings{}, name
		}
		result.Field(i).SetZero()
	}
	return rest, ""
}

// clone shares nothing with s.
func (s Settings) clone() Settings {
	s.Factors, s.Skew = copied(s.Factors), copied(s.Skew)
	s.OTP, s.RecoveryCodes, s.Session = copied(s.OTP), copied(s.RecoveryCodes), copied(s.Session)
	s.Methods, s.MethodLabels = slices.Clone(s.Methods), maps.Clone(s.MethodLabels)
	s.SecretLength, s.CodeLife = copied(s.SecretLength), maps.Clone(s.CodeLife)
	if s.Registration = copied(s.Registration); s.Registration != nil {
		s.Registration.Domains = slices.Clone(s.Registration.Domains)
	}
	s.TrustedBrowsers = copied(s.TrustedBrowsers)
	s.ConfirmDisable, s.ConfirmRegenerate, s.AllowRegenerate = copied(s.ConfirmDisable), copied(s.ConfirmRegenerate), copied(s.AllowRegenerate)
	return s
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	value := *p
	return &value
}

// Validate refuses settings that no realm may have. The realm's name matters:
// admin always demands two factors and an invitation. Errors: ErrInvalid.
func (s Settings) Validate(realm string) error { return s.validate(realm) }

func (s Settings) validate(realm string) error {
	if s.Factors != nil && (*s.Factors < 1 || *s.Factors > 2) {
		return refuse(ErrInvalid, "factors is 1 or 2, not %d", *s.Factors)
	}
	if realm == AdminRealm && s.Factors != nil && *s.Factors != 2 {
		return refuse(ErrInvalid, "the realm admin always has factors 2")
	}
	if err := oneOf("enrollment", s.Enrollment, EnrollFirstLogin, EnrollInvitation, EnrollOff, EnrollOpen); err != nil {
		return err
	}
	if s.Enrollment == EnrollOpen && (s.Factors == nil || *s.Factors != 1) {
		return refuse(ErrInvalid, "enrollment open is for realms where factors is 1: with two, whoever learns a password would set up the second")
	}
	if realm == AdminRealm && s.Enrollment == EnrollFirstLogin {
		return refuse(ErrInvalid, "the realm admin enrols by invitation only")
	}
	if err := oneOf("replay", s.Replay, ReplayDeny, ReplayAllow); err != nil {
		return err
	}
	if err := oneOf("names", s.Names, NamesPrecis, NamesExact); err != nil {
		return err
	}
	if s.OTP != nil {
		if err := s.OTP.Usual(); err != nil {
			return refuse(ErrInvalid, "otp: %v", err)
		}
	}
	if s.Skew != nil && (*s.Skew < 0 || *s.Skew > otp.MaxSkew) {
		return refuse(ErrInvalid, "skew is 0 to %d steps, not %d", otp.MaxSkew, *s.Skew)
	}
	if err := validMethods(s.Methods); err != nil {
		return err
	}
	if s.RecoveryCodes != nil {
		if err := s.RecoveryCodes.validate(); err != nil {
			return err
		}
	}
	if err := s.validTexts(); err != nil {
		return err
	}
	if s.Registration != nil {
		if err := s.Registration.validate(realm); err != nil {
			return err
		}
	}
	if err := s.validTrust(realm); err != nil {
		return err
	}
	if s.Session != nil {
		return s.Session.validate()
	}
	return nil
}

// validTrust judges how long browsers are trusted.
func (s Settings) validTrust(realm string) error {
	switch t := s.TrustedBrowsers; {
	case t == nil || *t == 0:
	case realm == AdminRealm:
		return refuse(ErrInvalid, "trusted_browsers: the realm admin trusts none, only 0 is allowed")
	case *t < minTrusted || *t > maxLifetime:
		return refuse(ErrInvalid, "trusted_browsers is 0 (not offered), or an hour to a year")
	}
	return nil
}

// validTexts judges what is shown in apps and to clients.
func (s Settings) validTexts() error {
	if s.SecretLength != nil && (*s.SecretLength < minSecret || *s.SecretLength > maxSecret) {
		return refuse(ErrInvalid, "secret_length is %d to %d characters, not %d", minSecret, maxSecret, *s.SecretLength)
	}
	if _, err := validText("issuer", s.Issuer, maxIssuer); err != nil {
		return err
	}
	if err := validMethods(slices.Sorted(maps.Keys(s.MethodLabels))); err != nil {
		return refuse(ErrInvalid, "method_labels: %v", err)
	}
	if err := validMethods(slices.Sorted(maps.Keys(s.CodeLife))); err != nil {
		return refuse(ErrInvalid, "code_life: %v", err)
	}
	for method, life := range s.CodeLife {
		if life < minCodeLife || life > maxCodeLife {
			return refuse(ErrInvalid, "code_life: a code of %s is good for %s to %s, not %s", method, minCodeLife, maxCodeLife, life)
		}
	}
	for _, label := range s.MethodLabels {
		if _, err := validText("method_labels", label, maxIssuer); err != nil {
			return err
		}
	}
	return nil
}

func oneOf(field, value string, allowed ...string) error {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	return refuse(ErrInvalid, "%s is one of %s, not %.32q", field, strings.Join(allowed, ", "), value)
}

func validMethods(methods []string) error {
	if len(methods) > maxMethods {
		return refuse(ErrInvalid, "at most %d methods are allowed", maxMethods)
	}
	for i, m := range methods {
		bad := strings.ContainsFunc(m, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' })
		if m == "" || m[0] < 'a' || len(m) > maxMethodName || bad || slices.Contains(methods[:i], m) {
			return refuse(ErrInvalid, "methods holds %.32q: names such as totp are expected, each once", m)
		}
	}
	return nil
}

func (r RecoverySettings) validate() error {
	if r.Count < 1 || r.Count > maxRecoveryCount {
		return refuse(ErrInvalid, "recovery_codes: a set has 1 to %d codes, not %d", maxRecoveryCount, r.Count)
	}
	distinct := map[byte]bool{} // case is ignored when a code is typed: a and A are one character
	for i := range len(r.Alphabet) {
		c := r.Alphabet[i]
		folded := c | 0x20 // of letters; digits have the bit already
		letter := folded >= 'a' && folded <= 'z' || c >= '0' && c <= '9'
		if !letter || strings.IndexByte(r.Alphabet, c) != i {
			return refuse(ErrInvalid, "recovery_codes: the alphabet has letters A to Z and a to z and digits, each once")
		}
		distinct[folded] = true
	}
	bits := float64(r.Length) * math.Log2(float64(len(distinct)))
	switch {
	case len(r.Alphabet) > maxRecoveryAlphabet:
		return refuse(ErrInvalid, "recovery_codes: the alphabet has at most %d characters", maxRecoveryAlphabet)
	case r.Length < minRecoveryChars || r.Length > maxRecoveryChars:
		return refuse(ErrInvalid, "recovery_codes: a code has %d to %d characters, not %d", minRecoveryChars, maxRecoveryChars, r.Length)
	case len(distinct) < 2 || bits < minRecoveryBits:
		return refuse(ErrInvalid, "recovery_codes: codes of %d characters out of %d have less than %d bits: more of either are needed", r.Length, len(distinct), minRecoveryBits)
	}
	return nil
}

func (l Lifetimes) validate() error {
	switch {
	case l.Idle < time.Minute || l.Absolute < l.Idle:
		return refuse(ErrInvalid, "session: idle is at least 1m, absolute at least idle")
	case l.Remember != 0 && l.Remember < l.Absolute:
		return refuse(ErrInvalid, "session: remember is 0 (not offered) or at least absolute")
	case l.Absolute > maxLifetime || l.Remember > maxLifetime:
		return refuse(ErrInvalid, "session: no lifetime is over a year")
	}
	return nil
}
