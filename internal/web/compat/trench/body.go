package trench

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/web"
)

const (
	// maxBody bounds a body, in bytes: the longest good one has some hundred.
	maxBody = 64 << 10
	// maxFields bounds how many fields of a form are read, as the original does.
	maxFields = 1000
)

// upload stands for a file of a form: it is no text.
type upload struct{}

// data is what a body holds.
type data struct {
	value any  // of JSON any value, of a form an object
	form  bool // no JSON: an empty field that need not be there is not there
}

// readBody takes the whole body into memory, whatever the call does with it.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *answer) {
	body, err := web.ReadBody(w, r, maxBody)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, detail(http.StatusRequestEntityTooLarge, "The body is larger than 64 KiB.")
	case err != nil:
		return nil, detail(http.StatusBadRequest, "The body did not arrive whole.")
	}
	return body, nil
}

// parse reads a body as its Content-Type says: JSON, a form or a multipart form. An
// empty one is an empty object, whatever its type.
func parse(header http.Header, body []byte) (data, *answer) {
	if len(body) == 0 {
		return data{value: map[string]any{}}, nil
	}
	sent := header.Get("Content-Type")
	kind, params := mediaType(sent)
	switch kind {
	case "application/json":
		value, err := decodeJSON(body)
		if err != nil {
			return data{}, detail(http.StatusBadRequest, "JSON parse error - "+err.Error())
		}
		return data{value: value}, nil
	case "application/x-www-form-urlencoded":
		return formOf(body), nil
	case "multipart/form-data":
		return multipartOf(body, params["boundary"])
	}
	return data{}, detail(http.StatusUnsupportedMediaType, `Unsupported media type "`+strings.ToValidUTF8(sent, "�")+`" in request.`)
}

// mediaType reads a Content-Type; what is wrong behind the type is not there.
func mediaType(sent string) (kind string, params map[string]string) {
	kind, params, err := mime.ParseMediaType(sent)
	if err != nil {
		kind, _, _ = strings.Cut(sent, ";")
	}
	return strings.ToLower(strings.TrimSpace(kind)), params
}

// formOf reads a form; of doubled fields the last one counts.
func formOf(body []byte) data {
	fields := map[string]any{}
	n := 0
	for pair := range strings.SplitSeq(string(body), "&") {
		if pair == "" {
			continue
		}
		if n++; n > maxFields {
			break
		}
		name, value, _ := strings.Cut(pair, "=")
		fields[unescape(name)] = unescape(value)
	}
	return data{value: fields, form: true}
}

// unescape decodes a part of a form as a browser's server does: a percent sign that
// encodes nothing stands for itself.
func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b = append(b, ' ')
		case s[i] == '%' && i+2 < len(s) && hexDigit(s[i+1]) >= 0 && hexDigit(s[i+2]) >= 0:
			b = append(b, byte(hexDigit(s[i+1])<<4|hexDigit(s[i+2])))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return strings.ToValidUTF8(string(b), "�")
}

// hexDigit is the value of a hexadecimal digit, or -1.
func hexDigit(c byte) int {
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

func multipartOf(body []byte, boundary string) (data, *answer) {
	if boundary == "" || len(boundary) > 200 {
		return data{}, detail(http.StatusBadRequest, "Multipart form parse error - Invalid boundary in multipart: None")
	}
	fields := map[string]any{}
	reader := multipart.NewReader(bytes.NewReader(body), boundary)
	for range maxFields {
		part, err := reader.NextRawPart()
		if err != nil { // the end, or what cannot be read: what was read before counts
			break
		}
		name := part.FormName()
		if name == "" {
			continue
		}
		text, err := io.ReadAll(part)
		if err != nil {
			break
		}
		fields[strings.ToValidUTF8(name, "�")] = strings.ToValidUTF8(string(text), "�")
		if part.FileName() != "" {
			fields[name] = upload{}
		}
	}
	return data{value: fields, form: true}, nil
}
