package portal

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
)

// MaxLogo is the most bytes that an operator's logo may have: it is held in
// memory, and loaded before every first login.
const MaxLogo = 256 << 10

const (
	svg = "image/svg+xml"
	// svgPolicy keeps a script in a drawing from running even where somebody
	// opens the drawing by itself, on the origin of the login pages.
	svgPolicy    = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
	svgNamespace = "http://www.w3.org/2000/svg"
)

// LogoKind returns the media type of a logo: SVG, PNG, JPEG or WebP. It looks
// at the content alone, because a name says nothing about what a browser will
// make of a file.
func LogoKind(logo []byte) (string, error) {
	if len(logo) > MaxLogo {
		return "", errors.New("larger than 256 KiB")
	}
	switch {
	case bytes.HasPrefix(logo, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png", nil
	case bytes.HasPrefix(logo, []byte("\xff\xd8\xff")):
		return "image/jpeg", nil
	case len(logo) >= 16 && bytes.HasPrefix(logo, []byte("RIFF")) && bytes.HasPrefix(logo[8:], []byte("WEBPVP8")):
		return "image/webp", nil
	case isSVG(logo):
		return svg, nil
	}
	return "", errors.New("expected an SVG, PNG, JPEG or WebP picture")
}

// isSVG reports whether a text is well-formed XML whose root is a drawing.
func isSVG(text []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(text))
	root := false
	for {
		token, err := d.Token()
		if err != nil {
			return root && errors.Is(err, io.EOF)
		}
		if e, ok := token.(xml.StartElement); ok && !root {
			if e.Name.Local != "svg" || e.Name.Space != svgNamespace {
				return false
			}
			root = true
		}
	}
}
