package command_test

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport-auth/sallyport/internal/otp"
)

// keepSeed writes the seed of the JSON on standard output to a file, as a script
// with jq would.
func keepSeed(ts *testscript.TestScript, _ bool, args []string) {
	var made struct {
		Seed   string `json:"seed"`
		Secret string `json:"secret"` // of a user
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &made))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(made.Seed+made.Secret), 0o600))
}

// typeToken puts the token of a seed file on the standard input of the next command:
// that of the moment of the first such word in a script, or so many steps later. So
// the same word is the same token, also where a step ends in between.
func typeToken(ts *testscript.TestScript, _ bool, args []string) {
	text, steps := strings.TrimSpace(ts.ReadFile(args[0])), 0
	if len(args) > 1 {
		var err error
		steps, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	params := otp.Default()
	seed, err := otp.ParseSeed(text)
	if strings.HasPrefix(text, "otpauth://") {
		_, seed, params, err = otp.ParseURI(text)
	}
	ts.Check(err)
	if of(ts).began.IsZero() {
		of(ts).began = time.Now()
	}
	code, err := params.Code(seed, params.Step(of(ts).began)+int64(steps))
	ts.Check(err)
	of(ts).stdin = code + "\n"
}

// wantPrivate demands that only the owner may read a file.
func wantPrivate(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if info.Mode().Perm() != 0o600 {
		ts.Fatalf("%s has mode %v", args[0], info.Mode())
	}
}
