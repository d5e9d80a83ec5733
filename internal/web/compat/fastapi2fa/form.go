package fastapi2fa

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"strings"
)

// maxParts bounds a form.
const maxParts = 100

// formValues reads name=value&… as Python does: what is no escape stands for itself,
// of equal names the last counts, and bytes that are no UTF-8 become U+FFFD.
func formValues(text string) map[string]string {
	values := map[string]string{}
	for pair := range strings.SplitSeq(text, "&") {
		if pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			values[unquoted(name)] = unquoted(value)
		}
	}
	return values
}

func unquoted(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b = append(b, ' ')
		case s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return strings.ToValidUTF8(string(b), "\ufffd")
}

// unhex is the value of a hexadecimal digit; -1: it is none.
func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// multipartForm reads multipart/form-data. Errors: a reply.
func multipartForm(body []byte, boundary string) (values map[string]string, files map[string]bool, err error) {
	values, files = map[string]string{}, map[string]bool{}
	begins := bytes.HasPrefix(bytes.TrimLeft(body, "\r\n"), []byte("--"+boundary))
	if boundary == "" || len(body) > 0 && !begins {
		return nil, nil, errBody()
	}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return values, files, nil
		}
		if err != nil || n == maxParts {
			return nil, nil, errBody()
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return nil, nil, errBody()
		}
		name := part.FormName()
		values[name] = strings.ToValidUTF8(string(text), "\ufffd")
		files[name] = part.FileName() != ""
	}
}
