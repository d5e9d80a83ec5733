package factor_test

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/otp"
)

// A picture of modules is as the Python library qrcode draws it: a quiet zone of
// 4 modules, and then the first module of a finder, which is 7 wide. zbarimg, which
// shares no code with us, reads it.
func TestQRModules(t *testing.T) {
	uri := otp.URI(otp.Label{Issuer: "Old House", Account: "alice@adjure"}, []byte("twenty bytes of seed"), otp.Params{Algorithm: otp.SHA256, Digits: 6, Period: 30})
	for asked, pixels := range map[int]int{10: 10, 3: 3, 0: factor.MinModule, 1 << 30: factor.MaxModule} {
		data, err := factor.QRModules(uri, factor.QRLow, asked)
		must(t, err)
		picture, err := png.Decode(bytes.NewReader(data))
		must(t, err)
		side := picture.Bounds().Dx()
		if modules := side/pixels - 8; side%pixels != 0 || modules%4 != 1 || modules < 21 || picture.Bounds().Dy() != side {
			t.Errorf("%d pixels a module: %d pixels a side", asked, side)
		}
		for _, c := range []struct {
			x, y int
			dark bool
		}{{4*pixels - 1, 4 * pixels, false}, {4 * pixels, 4*pixels - 1, false}, {4 * pixels, 4 * pixels, true}, {11*pixels - 1, 4 * pixels, true}, {11 * pixels, 4 * pixels, false}} {
			if dark(picture, c.x, c.y) != c.dark {
				t.Errorf("%d pixels a module: the pixel %d,%d is dark: %v", asked, c.x, c.y, !c.dark)
			}
		}
		if pixels >= 3 {
			if got := zbarimg(t, data); got != uri {
				t.Errorf("%d pixels a module: zbarimg reads %q", asked, got)
			}
		}
	}
	for _, bad := range []string{"", "https://example.com", "otpauth://" + strings.Repeat("x", 5000)} {
		if _, err := factor.QRModules(bad, factor.QRMedium, 10); err == nil {
			t.Errorf("a QR code of %.20q", bad)
		}
	}
}

// The level decides how many modules a text needs: this one 37 with L, 41 with M.
func TestQRModulesHaveTheLevelThatWasAskedFor(t *testing.T) {
	uri := "otpauth://totp/fastapi_2fa:x%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=fastapi_2fa&period=30"
	for level, side := range map[factor.QRLevel]int{factor.QRLow: 450, factor.QRMedium: 490} {
		data, err := factor.QRModules(uri, level, 10)
		must(t, err)
		picture, err := png.Decode(bytes.NewReader(data))
		must(t, err)
		if got := picture.Bounds().Dx(); got != side {
			t.Errorf("level %d: %d pixels a side, want %d", level, got, side)
		}
	}
}

func dark(p image.Image, x, y int) bool {
	r, _, _, _ := p.At(x, y).RGBA()
	return r < 0x8000
}

func zbarimg(t *testing.T, picture []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "qr.png")
	must(t, os.WriteFile(file, picture, 0o600))
	out, err := exec.Command("zbarimg", "--raw", "--quiet", file).Output()
	if err != nil {
		t.Fatalf("zbarimg (make test installs it): %v", err)
	}
	return strings.TrimSpace(string(out))
}
