package otp_test

import (
	"bytes"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/otp"
)

// What Google's key URI format documents, and Aegis and FreeOTP read: the label
// Issuer:Account in percent-encoding, upper-case base32 without padding, the
// issuer again, the algorithm's name in capitals.
func TestURIAsAuthenticatorsWantIt(t *testing.T) {
	got := otp.URI(otp.Label{Issuer: "Sally & Söhne", Account: "alice+x@staff"}, []byte("12345678901234567890"), otp.Default())
	want := "otpauth://totp/Sally%20%26%20S%C3%B6hne:alice%2Bx%40staff?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" +
		"&issuer=Sally%20%26%20S%C3%B6hne&algorithm=SHA1&digits=6&period=30"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	u, err := url.Parse(got)
	if err != nil || u.Path != "/Sally & Söhne:alice+x@staff" || u.Query().Get("issuer") != "Sally & Söhne" {
		t.Errorf("read by net/url: %+v, %v", u, err)
	}
	documented := regexp.MustCompile(`^otpauth://totp/[A-Za-z0-9._~%-]+(:[A-Za-z0-9._~%-]+)?\?secret=[A-Z2-7]+(&issuer=[A-Za-z0-9._~%-]+)?&algorithm=SHA(1|256|512)&digits=[68]&period=[0-9]+$`)
	for _, l := range []otp.Label{{}, {"", "a"}, {"I", ""}, {"a:b", "c:d"}, {"I?x=1&secret=AAAA", "a#b"}, {"new\nline", "\x00nul"}, {"100%", "%41"}, {strings.Repeat("ü", 500), "a/b"}} {
		for _, size := range []int{20, 21, 22, 23, 24, 32, 64} {
			if uri := otp.URI(l, otp.NewSeed(size), otp.Params{Algorithm: otp.SHA512, Digits: 8, Period: 60}); !documented.MatchString(uri) || len(uri) > 1300 {
				t.Errorf("%+v: %s", l, uri)
			}
		}
	}
}

// A name with a colon or a parameter in it must not be able to show another
// issuer, or to put another secret into the app.
func TestALabelStaysALabel(t *testing.T) {
	seed := otp.NewSeed(20)
	l, got, p, err := otp.ParseURI(otp.URI(otp.Label{Issuer: "Sallyport", Account: "Bank:eve?secret=AAAAAAAAAAAAAAAA&issuer=Bank"}, seed, otp.Default()))
	if err != nil || !bytes.Equal(got, seed) || p != otp.Default() || l.Issuer != "Sallyport" || strings.Contains(l.Account, ":") {
		t.Errorf("%+v, %+v, %v", l, p, err)
	}
}

func TestParseURITakesDocumentedDefaults(t *testing.T) {
	l, seed, p, err := otp.ParseURI("otpauth://TOTP/ACME%20Co:%20john@example.com?secret=gezdgnbvgy3tqojqgezdgnbvgy3tqojq&image=https%3A%2F%2Fx")
	if err != nil || l != (otp.Label{Issuer: "ACME Co", Account: "john@example.com"}) || string(seed) != "12345678901234567890" || p != otp.Default() {
		t.Errorf("%+v, %q, %+v, %v", l, seed, p, err)
	}
	l, _, p, err = otp.ParseURI("otpauth://totp/john?secret=GEZDGNBVGY3TQOJQ&issuer=B&algorithm=sha256&digits=8&period=60")
	if err != nil || l != (otp.Label{Issuer: "B", Account: "john"}) || p != (otp.Params{Algorithm: otp.SHA256, Digits: 8, Period: 60}) {
		t.Errorf("%+v, %+v, %v", l, p, err)
	}
}

func TestParseURIRefuses(t *testing.T) {
	const secret = "GEZDGNBVGY3TQOJQ"
	for _, text := range []string{
		"", "otpauth://", "https://totp/a?secret=" + secret, "otpauth://hotp/a?secret=" + secret + "&counter=1", "otpauth://totp/a", "otpauth://totp/?secret=" + secret,
		"otpauth://totp/a?secret=", "otpauth://totp/a?secret=A", "otpauth://totp/a?secret=" + secret + "&secret=" + secret, "otpauth://totp/a?secret=" + secret + "&digits=7",
		"otpauth://totp/a?secret=" + secret + "&digits=x", "otpauth://totp/a?secret=" + secret + "&period=0", "otpauth://totp/a?secret=" + secret + "&period=-30",
		"otpauth://totp/a?secret=" + secret + "&period=14", "otpauth://totp/a?secret=" + secret + "&period=301",
		"otpauth://totp/a?secret=" + secret + "&period=99999999999999999999", "otpauth://totp/a?secret=" + secret + "&algorithm=MD5", "otpauth://u@totp/a?secret=" + secret,
		"otpauth://totp/a?secret=" + secret + "#x", "otpauth://totp/a?secret=" + secret + "&x=%zz", "otpauth://totp/%zz?secret=" + secret, "otpauth://totp/I:?secret=" + secret,
		"otpauth://totp/a?secret=" + strings.Repeat("A", 8000),
	} {
		_, seed, _, err := otp.ParseURI(text)
		if err == nil || seed != nil {
			t.Errorf("%.80q was accepted", text)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows the seed: %v", err)
		}
	}
}

func TestSeedsAsPeopleCopyThem(t *testing.T) {
	want := "12345678901234567890"
	for _, text := range []string{
		"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq", "gezd gnbv gy3t qojq gezd gnbv gy3t qojq", "GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ",
	} {
		if seed, err := otp.ParseSeed(text); err != nil || string(seed) != want {
			t.Errorf("ParseSeed(%q) = %q, %v", text, seed, err)
		}
	}
	for size := otp.MinSeed; size <= otp.MaxSeed; size++ {
		seed := bytes.Repeat([]byte{0xa5}, size)
		text := otp.FormatSeed(seed)
		padded := text + strings.Repeat("=", (8-len(text)%8)%8)
		for _, s := range []string{text, padded} {
			if got, err := otp.ParseSeed(s); err != nil || !bytes.Equal(got, seed) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	}
	for _, text := range []string{
		"", "=", "A", "GEZDGNBVGY3TQOI", "GEZDGNBVGY3TQOJ1", "GEZDGNBVGY3TQOJ0", "GEZDGNBV\nGY3TQOJQ", "GEZDGNBVGY3TQOJQ\r\n", "GEZD=GNBVGY3TQOJQ", "GEZDGNBVGY3TQOJQA",
		"GEZDGNBVGY3TQOJı", "ＧＥＺＤＧＮＢＶＧＹ３ＴＱＯＪＱ", otp.FormatSeed(make([]byte, 9)), otp.FormatSeed(make([]byte, 129)), strings.Repeat("A", 1<<20),
	} {
		if seed, err := otp.ParseSeed(text); err == nil {
			t.Errorf("ParseSeed(%.40q) = %x", text, seed)
		} else if len(text) > 4 && strings.Contains(err.Error(), text) {
			t.Errorf("the error shows the seed: %v", err)
		}
	}
}

func TestNewSeedsAreLongAndDifferent(t *testing.T) {
	for asked, want := range map[int]int{-1: 20, 0: 20, 10: 20, 20: 20, 32: 32, 64: 64, 1 << 30: 128} {
		a, b := otp.NewSeed(asked), otp.NewSeed(asked)
		if len(a) != want || bytes.Equal(a, b) {
			t.Errorf("NewSeed(%d) has %d bytes", asked, len(a))
		}
	}
}

func FuzzURI(f *testing.F) {
	f.Add("Sallyport", "alice@users", []byte("12345678901234567890"), 0, true, 30)
	f.Add("A:B", "%41 +?&#", []byte("1234567890"), 1, false, 15)
	f.Add("\xff", "é\u0301/..", []byte(strings.Repeat("z", 128)), 2, true, 300)
	f.Fuzz(func(t *testing.T, issuer, account string, seed []byte, algorithm int, long bool, period int) {
		l, p := otp.Label{Issuer: issuer, Account: account}, otp.Params{Algorithm: algorithms[uint(algorithm)%3], Digits: 6, Period: period}
		if long {
			p.Digits = 8
		}
		if len(seed) < otp.MinSeed || len(seed) > otp.MaxSeed || p.Usual() != nil {
			return
		}
		if l.Clean() != l.Clean().Clean() {
			t.Fatalf("%+v is not stable: %+v", l, l.Clean())
		}
		uri := otp.URI(l, seed, p)
		gotLabel, gotSeed, gotParams, err := otp.ParseURI(uri)
		if err != nil || gotLabel != l.Clean() || !bytes.Equal(gotSeed, seed) || gotParams != p {
			t.Fatalf("%s came back as %+v, %x, %+v, %v", uri, gotLabel, gotSeed, gotParams, err)
		}
	})
}

func FuzzParseURI(f *testing.F) {
	for _, s := range []string{
		"otpauth://totp/Issuer:account?secret=GEZDGNBVGY3TQOJQ&issuer=Issuer&algorithm=SHA1&digits=6&period=30",
		"otpauth://totp/a%3Ab:c?secret=GEZDGNBVGY3TQOJQ", "otpauth:totp/a?secret=GEZDGNBVGY3TQOJQ", "otpauth://totp/%F0%9F%99%82?secret=GEZDGNBVGY3TQOJQ", "otpauth://totp/\xff?secret=",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, seed, p, err := otp.ParseURI(text)
		if err != nil {
			return
		}
		uri := otp.URI(l, seed, p)
		l2, seed2, p2, err := otp.ParseURI(uri)
		if err != nil || l2 != l || !bytes.Equal(seed, seed2) || p != p2 || otp.URI(l2, seed2, p2) != uri {
			t.Fatalf("%q was read as %+v, printed as %s and read as %+v, %v", text, l, uri, l2, err)
		}
	})
}

func FuzzParseSeed(f *testing.F) {
	for _, s := range []string{"GEZDGNBVGY3TQOJQ", "gezd-gnbv gy3t-qojq====", "A", "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		seed, err := otp.ParseSeed(text)
		if err != nil {
			return
		}
		if again, err := otp.ParseSeed(otp.FormatSeed(seed)); err != nil || !bytes.Equal(again, seed) {
			t.Fatalf("%q: %x, %x, %v", text, seed, again, err)
		}
	})
}
