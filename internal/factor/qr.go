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

// QRLevel is how much of a QR code may be unreadable (ISO/IEC 18004).
type QRLevel uint8

// The levels: QRLow is L, 7 percent, and QRMedium M, 15 percent, which is the default
// of the Python library qrcode.
const (
	QRLow QRLevel = iota
	QRMedium
)

// QRModules returns a PNG of an otpauth URI with so many pixels a module a side
// (MinModule to MaxModule, what lies outside is moved to the nearer bound) and a
// quiet zone of 4 modules, as the Python library qrcode draws it with a box_size of
// that. It is as secret as the URI.
func QRModules(uri string, level QRLevel, pixels int) ([]byte, error) {
	recovery := qrcode.Low
	if level == QRMedium {
		recovery = qrcode.Medium
	}
	return encode(uri, recovery, -min(max(pixels, MinModule), MaxModule))
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
