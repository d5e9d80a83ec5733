package session

import (
	"math/bits"
	"time"
)

// AMR is the set of methods that a session was opened with (RFC 8176 where it has
// a word for them).
type AMR uint16

const (
	PWD      AMR = 1 << iota // a password
	OTP                      // a one-time code of an authenticator
	HWK                      // proof of a hardware key
	SMS                      // a code by SMS
	Email                    // a code by e-mail
	Trusted                  // a browser that was trusted at an earlier second factor
	Recovery                 // a recovery code
	SWK                      // proof of a key that may be copied between devices, such as a synchronised passkey
	MFA                      // what opened the session was two factors by itself: a passkey that verified the person
)

var amrNames = [...]string{"pwd", "otp", "hwk", "sms", "email", "trusted", "recovery", "swk", "mfa"}

// Strings returns the words of claim amr, in a fixed order.
func (a AMR) Strings() []string {
	names := make([]string, 0, bits.OnesCount16(uint16(a)))
	for i, name := range amrNames {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// Factors is the number of factors that a rule may count: 0, 1 or 2. A trusted
// browser counts.
func (a AMR) Factors() int {
	if a&MFA != 0 {
		return 2
	}
	return min(2, bits.OnesCount16(uint16(a&PWD))+min(1, bits.OnesCount16(uint16(a&^PWD))))
}

// RealFactors is Factors without trusted browsers: what capabilities, and changes
// of an account, ask for.
func (a AMR) RealFactors() int { return (a &^ Trusted).Factors() }

// Proof is how and when somebody proved who they are. Times are whole seconds.
type Proof struct {
	AMR        AMR
	PasswordAt time.Time // zero: no password
	FactorAt   time.Time // the last real second factor; zero: none
}

// clockSlack is how far in the future a proof may lie: clocks of nodes differ a
// little. A proof further ahead was made under a wrong clock and is not fresh.
const clockSlack = time.Minute

// Fresh reports whether a real second factor was proved at most within ago.
// A trusted browser proves nothing and is never fresh.
func (p Proof) Fresh(now time.Time, within time.Duration) bool {
	if p.FactorAt.IsZero() {
		return false
	}
	age := now.Sub(p.FactorAt)
	return age >= -clockSlack && age <= within
}

// AuthTime is the instant of the last proof (OpenID Connect Core, auth_time).
func (p Proof) AuthTime() time.Time {
	if p.FactorAt.After(p.PasswordAt) {
		return p.FactorAt
	}
	return p.PasswordAt
}
