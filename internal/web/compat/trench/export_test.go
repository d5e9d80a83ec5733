package trench

import (
	"time"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// EnrolTokenForTest makes the token for enrolment that holds an ephemeral token, which
// may be one of another kind.
func (f *Facade) EnrolTokenForTest(ephemeral secret.Token) (string, error) {
	body, err := f.tokens.enrolling(drfToken, ephemeral, time.Minute)
	if err != nil {
		return "", err
	}
	return "Token " + body.(opaqueBody).AuthToken, nil
}
