package otp_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/otp"
)

var algorithms = []otp.Algorithm{otp.SHA1, otp.SHA256, otp.SHA512}

// RFC 4226 appendix D.
func TestHOTPVectors(t *testing.T) {
	seed := []byte("12345678901234567890")
	for counter, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got, err := otp.HOTP(seed, uint64(counter), 6, otp.SHA1); err != nil || got != want {
			t.Errorf("counter %d: %s, %v; want %s", counter, got, err, want)
		}
	}
}

// RFC 6238 appendix B. The seeds of SHA256 and SHA512 are as long as their
// hashes (erratum 2866).
func TestTOTPVectors(t *testing.T) {
	seeds := map[otp.Algorithm][]byte{
		otp.SHA1:   []byte("12345678901234567890"),
		otp.SHA256: []byte("12345678901234567890123456789012"),
		otp.SHA512: []byte("1234567890123456789012345678901234567890123456789012345678901234"),
	}
	for _, v := range []struct {
		at    int64
		codes [3]string
	}{
		{59, [3]string{"94287082", "46119246", "90693936"}},
		{1111111109, [3]string{"07081804", "68084774", "25091201"}},
		{1111111111, [3]string{"14050471", "67062674", "99943326"}},
		{1234567890, [3]string{"89005924", "91819424", "93441116"}},
		{2000000000, [3]string{"69279037", "90698825", "38618901"}},
		{20000000000, [3]string{"65353130", "77737706", "47863826"}},
	} {
		for i, algorithm := range algorithms {
			p := otp.Params{Algorithm: algorithm, Digits: 8, Period: 30}
			got, err := p.Code(seeds[algorithm], p.Step(time.Unix(v.at, 0)))
			if err != nil || got != v.codes[i] {
				t.Errorf("%s at %d: %s, %v; want %s", algorithm, v.at, got, err, v.codes[i])
			}
		}
	}
}

// The reference program of the OATH toolkit makes the same codes.
func TestAgreesWithOathtool(t *testing.T) {
	if _, err := exec.LookPath("oathtool"); err != nil {
		t.Fatal("install oathtool: make test does")
	}
	for _, algorithm := range algorithms {
		for _, digits := range []int{6, 8} {
			for i, period := range []int{1, 15, 30, 60, 300, 3600} {
				seed := otp.NewSeed(20 + i*10)
				p := otp.Params{Algorithm: algorithm, Digits: digits, Period: period}
				at := time.Date(2031, 3, 4, 5, 6, 7+i, 0, time.UTC)
				out, err := exec.Command("oathtool", "--totp="+string(algorithm), "--digits", fmt.Sprint(digits),
					"--time-step-size", fmt.Sprintf("%ds", period), "--now", at.Format("2006-01-02 15:04:05 UTC"), hex.EncodeToString(seed)).Output()
				if err != nil {
					t.Fatalf("oathtool: %v", err)
				}
				code, err := p.Code(seed, p.Step(at))
				if err != nil || code != strings.TrimSpace(string(out)) {
					t.Errorf("%+v: ours %s, %v; oathtool's %s", p, code, err, out)
				}
			}
		}
	}
}

func TestStepRoundsDown(t *testing.T) {
	p := otp.Default()
	for at, want := range map[int64]int64{0: 0, 29: 0, 30: 1, 59: 1, -1: -1, -30: -1, -31: -2} {
		if got := p.Step(time.Unix(at, 999)); got != want {
			t.Errorf("step at %d s is %d, want %d", at, got, want)
		}
		if start := p.Start(want).Unix(); start > at || start+30 <= at {
			t.Errorf("step %d starts at %d, but %d s is in it", want, start, at)
		}
	}
}

func TestParamsOutOfRangeAreRefused(t *testing.T) {
	for _, algorithm := range algorithms {
		for _, digits := range []int{6, 8} {
			for period, usual := range map[int]bool{1: false, 14: false, 15: true, 30: true, 300: true, 301: false, 3600: false} {
				p := otp.Params{Algorithm: algorithm, Digits: digits, Period: period}
				if err := p.Validate(); err != nil {
					t.Error(err)
				}
				if err := p.Usual(); usual != (err == nil) || err != nil && !strings.Contains(err.Error(), "15 to 300 seconds") {
					t.Errorf("%+v is usual: %v", p, err)
				}
			}
		}
	}
	seed := otp.NewSeed(20)
	for _, p := range []otp.Params{
		{}, {otp.SHA1, 0, 30}, {otp.SHA1, 5, 30}, {otp.SHA1, 7, 30}, {otp.SHA1, 9, 30}, {otp.SHA1, 6, 0}, {otp.SHA1, 6, -1},
		{otp.SHA1, 6, 3601}, {otp.SHA1, 6, -30}, {"", 6, 30}, {"sha1", 6, 30}, {"MD5", 6, 30},
	} {
		if p.Validate() == nil || p.Usual() == nil {
			t.Errorf("%+v is valid", p)
		}
		if code, err := p.Code(seed, 1); err == nil || code != "" {
			t.Errorf("%+v makes the code %q", p, code)
		}
		if _, r := otp.Match(seed, p, "000000", time.Unix(0, 0), 10, -1); r != otp.NoMatch {
			t.Errorf("%+v: %v", p, r)
		}
	}
	if _, err := otp.HOTP(nil, 0, 6, otp.SHA1); err == nil {
		t.Error("an empty seed makes codes that everybody knows")
	}
	if _, err := otp.Default().Code(seed, -1); err == nil {
		t.Error("there is no code before 1970")
	}
}

// TestO1OnlyDigitsAreACode: the verifier trimmed what the memory of used codes
// did not, so " 123456" was a fresh code after "123456". Here one text is left
// of all accepted ones, and everything else is refused.
func TestO1OnlyDigitsAreACode(t *testing.T) {
	for _, text := range []string{"123456", " 123456", "123456 ", "123 456", "123-456", "- 1 2 3 4 5 6 -"} {
		if code, ok := otp.Clean(text, 6); !ok || code != "123456" {
			t.Errorf("Clean(%q) = %q, %v", text, code, ok)
		}
	}
	for _, text := range []string{
		"", "12345", "1234567", "0123456", "123456\t", "\t123456", "123456\n", "123456\x00", "\x00123456", "123\u00a0456", "123\u2009456",
		"１２３４５６", "١٢٣٤٥٦", "12345６", "+123456", "123.456", "12345a", "0x1234", "1e5000", "123456\u200b", "123–456", "\ufeff123456",
		strings.Repeat(" ", 100) + "123456", strings.Repeat("1", 1<<20),
	} {
		if code, ok := otp.Clean(text, 6); ok || code != "" {
			t.Errorf("Clean(%.40q) = %q, %v", text, code, ok)
		}
	}
	if _, ok := otp.Clean("", 0); ok {
		t.Error("no digits are no code")
	}
	if code, ok := otp.Clean("1234 5678", 8); !ok || code != "12345678" {
		t.Errorf("8 digits: %q, %v", code, ok)
	}
}

func mustCode(t *testing.T, p otp.Params, seed []byte, step int64) string {
	t.Helper()
	code, err := p.Code(seed, step)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// testSeed has six different codes in each window these tests look at, so that
// chance does not decide them.
var testSeed = []byte("12345678901234567890")

func TestMatchAcceptsTheWindowAndNothingElse(t *testing.T) {
	p, at := otp.Params{Algorithm: otp.SHA1, Digits: 8, Period: 30}, time.Unix(2000000000, 0)
	now := p.Step(at)
	for _, skew := range []int{0, 1, 2, 10} {
		for off := -12; off <= 12; off++ {
			step, r := otp.Match(testSeed, p, mustCode(t, p, testSeed, now+int64(off)), at, skew, -1)
			if inside := off >= -skew && off <= skew; inside != (r == otp.Matched) || inside && step != now+int64(off) {
				t.Errorf("skew %d, offset %d: step %d, %v", skew, off, step-now, r)
			}
		}
	}
	if _, r := otp.Match(testSeed, p, mustCode(t, p, testSeed, now-1), at, -5, -1); r != otp.NoMatch {
		t.Errorf("a negative skew is none: %v", r)
	}
	if _, r := otp.Match(testSeed, p, mustCode(t, p, testSeed, now+11), at, 1000, -1); r != otp.NoMatch {
		t.Errorf("a skew above the bound is the bound: %v", r)
	}
	if _, r := otp.Match(nil, p, mustCode(t, p, testSeed, now), at, 1, -1); r != otp.NoMatch {
		t.Errorf("no seed: %v", r)
	}
	for _, code := range []string{"", "1234567", "123456789", " 12345678"} {
		if _, r := otp.Match(testSeed, p, code, at, 1, -1); r != otp.NoMatch {
			t.Errorf("%q: %v", code, r)
		}
	}
}

func TestABurnedStepAndAllBeforeItAreReplays(t *testing.T) {
	p, at := otp.Default(), time.Unix(1234567890, 0)
	now := p.Step(at)
	for off := int64(-1); off <= 1; off++ {
		for burned := int64(-2); burned <= 2; burned++ {
			want := otp.Matched // a replay tells its step too: what was opened with it may be asked for by it
			if off <= burned {
				want = otp.Replayed
			}
			if step, r := otp.Match(testSeed, p, mustCode(t, p, testSeed, now+off), at, 1, now+burned); r != want || step != now+off {
				t.Errorf("code of step %+d after %+d was burned: step %+d, %v", off, burned, step-now, r)
			}
		}
	}
	if _, r := otp.Match(testSeed, p, mustCode(t, p, testSeed, now), at, 1, math.MaxInt64); r != otp.Replayed {
		t.Errorf("everything is burned: %v", r)
	}
}

// A code that chance gave to a burned step and to a later one of the window
// must not work a second time.
func TestACodeOfTwoStepsWorksOnce(t *testing.T) {
	p := otp.Default()
	seen := map[string]int64{}
	var first, second int64
	for step := int64(1); second == 0; step++ {
		code := mustCode(t, p, testSeed, step)
		if before, ok := seen[code]; ok && step-before <= 2*otp.MaxSkew {
			first, second = before, step
		}
		seen[code] = step
	}
	at := p.Start(second - (second-first)/2)
	code := mustCode(t, p, testSeed, first)
	step, r := otp.Match(testSeed, p, code, at, otp.MaxSkew, -1)
	if r != otp.Matched || step != first {
		t.Fatalf("the smallest step is burned first: %d, %v", step, r)
	}
	for _, after := range []int64{first, second} {
		if step, r := otp.Match(testSeed, p, code, at, otp.MaxSkew, after); r != otp.Replayed || step != first {
			t.Errorf("the same digits after step %d was burned: step %d, %v", after, step, r)
		}
	}
}

// TestO12TheClockJumpsBack: an attacker who overheard codes waits for, or
// makes, a clock that is set back ten minutes, and sends them again.
func TestO12TheClockJumpsBack(t *testing.T) {
	p, at := otp.Default(), time.Unix(1234567890, 0)
	var overheard []string
	after := int64(-1)
	for range 25 {
		code := mustCode(t, p, testSeed, p.Step(at))
		step, r := otp.Match(testSeed, p, code, at, 1, after)
		if r != otp.Matched {
			t.Fatalf("an honest code: %v", r)
		}
		overheard, after = append(overheard, code), step
		at = at.Add(30 * time.Second)
	}
	at = at.Add(-10 * time.Minute)
	for range 20 { // until the clock is where it was
		for _, code := range overheard {
			if _, r := otp.Match(testSeed, p, code, at, 1, after); r == otp.Matched {
				t.Fatalf("an overheard code was good at %s", at)
			}
		}
		at = at.Add(30 * time.Second)
	}
	if _, r := otp.Match(testSeed, p, mustCode(t, p, testSeed, p.Step(at)), at, 1, after); r != otp.Matched {
		t.Errorf("when time has caught up, codes are good again: %v", r)
	}
}

func TestNothingMatchesBeforeTheEpoch(t *testing.T) {
	p := otp.Default()
	zero := mustCode(t, p, testSeed, 0)
	if step, r := otp.Match(testSeed, p, zero, time.Unix(0, 0), 1, -1); r != otp.Matched || step != 0 {
		t.Errorf("step 0: %d, %v", step, r)
	}
	for _, at := range []int64{-61, -1000, math.MinInt32} {
		if _, r := otp.Match(testSeed, p, zero, time.Unix(at, 0), 1, math.MinInt64); r != otp.NoMatch {
			t.Errorf("at %d: %v", at, r)
		}
	}
}

func TestResultsAreWords(t *testing.T) {
	if otp.NoMatch.String() != "no match" || otp.Matched.String() != "matched" || otp.Replayed.String() != "replayed" || otp.Result(0) != otp.NoMatch {
		t.Error("the zero result is a refusal, and each has its word")
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"123456", " 123 456-", "１２３４５６", "123456\x00", "1234567"} {
		f.Add(s, 6)
	}
	f.Fuzz(func(t *testing.T, text string, digits int) {
		digits = 6 + 2*(digits&1)
		code, ok := otp.Clean(text, digits)
		if !ok {
			return
		}
		if again, ok := otp.Clean(code, digits); !ok || again != code || len(code) != digits {
			t.Fatalf("%q became %q and then %q", text, code, again)
		}
		if strings.NewReplacer(" ", "", "-", "").Replace(text) != code {
			t.Fatalf("%q became %q", text, code)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	p, at := otp.Default(), time.Unix(1234567890, 0)
	b.ReportAllocs()
	for b.Loop() {
		otp.Match(testSeed, p, "000000", at, 1, -1)
	}
}
