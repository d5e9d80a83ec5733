package fastapi2fa

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/web/compat"
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

func unquoted(s string) string { return strings.ToValidUTF8(compat.Unquote(s), "\ufffd") }

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
