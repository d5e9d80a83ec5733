package factor

import (
	"fmt"
	"strings"

	qrcode "github.com/skip2/go-qrcode"
)

const (
	// MinQR and MaxQR bound the side of a picture, in pixels: smaller ones no
	// camera reads, larger ones cost memory for nothing.
	MinQR = 128
	MaxQR = 1024
	// DefaultQR is the side of a picture where 0 was asked for.
	DefaultQR = 256
	// MinModule and MaxModule bound a module of QRModules, in pixels a side: the
	// largest picture has 185 modules a side.
	MinModule = 1
	MaxModule = 20
)

// QR returns a PNG of an otpauth URI with size pixels a side (0: DefaultQR;
// otherwise MinQR to MaxQR, what lies outside is moved to the nearer bound),
// in recovery level M. It is as secret as the URI: serve it with no-store.
func QR(uri string, size int) ([]byte, error) {
	if size == 0 {
		size = DefaultQR
	}
	return encode(uri, qrcode.Medium, min(max(size, MinQR), MaxQR))
}

// QRModules returns a PNG of an otpauth URI with so many pixels a module a side
// (MinModule to MaxModule, what lies outside is moved to the nearer bound), a
// quiet zone of 4 modules, and recovery level L: with 10 pixels the picture that
// the Python library qrcode makes of it by default. It is as secret as the URI.
func QRModules(uri string, pixels int) ([]byte, error) {
	return encode(uri, qrcode.Low, -min(max(pixels, MinModule), MaxModule))
}

// encode makes the picture; a negative size is that of a module.
func encode(uri string, level qrcode.RecoveryLevel, size int) ([]byte, error) {
	if !strings.HasPrefix(uri, "otpauth://") {
		return nil, fmt.Errorf("make QR code: an otpauth URI is expected")
	}
	png, err := qrcode.Encode(uri, level, size)
	if err != nil {
		return nil, fmt.Errorf("make QR code: %w", err)
	}
	return png, nil
}
