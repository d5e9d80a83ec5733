package command

import (
	"bytes"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/otp"
)

// What --seed-file writes, --seed-stdin reads, with its parameters; a flag wins.
func TestSeedsAreReadBack(t *testing.T) {
	seed, params := otp.NewSeed(20), otp.Params{Algorithm: otp.SHA256, Digits: 8, Period: 60}
	read, got, err := parseSeed(otp.URI(otp.Label{Issuer: "Sallyport", Account: "deploy@robots"}, seed, params) + "\n")
	if err != nil || !bytes.Equal(read, seed) || got != params {
		t.Fatalf("%v %v", got, err)
	}
	body := newService{Digits: 6}
	body.take(&got)
	if body.Digits != 6 || body.Period != 60 || body.Algorithm != "SHA256" {
		t.Errorf("%+v", body)
	}
	body = newService{}
	if body.take(nil); body.Digits != 0 {
		t.Error("base32 says no parameters: the realm's hold")
	}
}
