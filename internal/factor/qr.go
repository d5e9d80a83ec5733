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
)

// QR returns a PNG of an otpauth URI with size pixels a side (0: DefaultQR;
// otherwise MinQR to MaxQR, what lies outside is moved to the nearer bound),
// in recovery level M. It is as secret as the URI: serve it with no-store.
func QR(uri string, size int) ([]byte, error) {
	if !strings.HasPrefix(uri, "otpauth://") {
		return nil, fmt.Errorf("make QR code: an otpauth URI is expected")
	}
	if size == 0 {
		size = DefaultQR
	}
	png, err := qrcode.Encode(uri, qrcode.Medium, min(max(size, MinQR), MaxQR))
	if err != nil {
		return nil, fmt.Errorf("make QR code: %w", err)
	}
	return png, nil
}
