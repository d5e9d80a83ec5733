package drf

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

const (
	// maxBody bounds a body, in bytes: the longest good one has some hundred.
	maxBody = 64 << 10
	// maxFields bounds the fields of a form, as the framework does.
	maxFields = 1000
)

// The types of bodies.
const (
	TypeJSON      = "application/json"
	TypeForm      = "application/x-www-form-urlencoded"
	TypeMultipart = "multipart/form-data"
)

// File stands for a file of a form: it is no text.
type File struct{}

// Parser says how the bodies of a system are read.
type Parser struct {
	// JSON reads a text; its errors are told. Required.
	JSON func(body []byte) (any, error)
	// Strict refuses a form that cannot be read whole, and a Content-Type with the
	// same parameter twice. Otherwise what was read before counts.
	Strict bool
	// Boundary bounds a multipart form's, in bytes; 0: it has any length.
	Boundary int
}

// ReadBody takes a whole body into memory, whatever the call does with it.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, *Refusal) {
	body, err := web.ReadBody(w, r, maxBody)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, &Refusal{http.StatusRequestEntityTooLarge, "The body is larger than 64 KiB."}
	}
	if err != nil {
		return nil, malformed("The body did not arrive whole.")
	}
	return body, nil
}

// Parse reads a body as its Content-Type says: JSON, a form or a multipart form. An
// empty one is an empty object, whatever its type. Of JSON the value is any, of a form
// a map[string]any of string and File; of equal fields the last one counts.
func (p Parser) Parse(contentType string, body []byte) (value any, form bool, refused *Refusal) {
	if len(body) == 0 {
		return map[string]any{}, false, nil
	}
	kind, params := p.MediaType(contentType)
	switch kind {
	case TypeJSON:
		value, err := p.JSON(body)
		if err != nil {
			return nil, false, malformed("JSON parse error - " + err.Error())
		}
		return value, false, nil
	case TypeForm:
		value, refused := p.Form(body)
		return value, true, refused
	case TypeMultipart:
		value, refused := p.multipart(body, params["boundary"])
		return value, true, refused
	}
	return nil, false, &Refusal{http.StatusUnsupportedMediaType, `Unsupported media type "` + contentType + `" in request.`}
}

// MediaType reads a Content-Type; what is wrong behind the type is not there.
func (p Parser) MediaType(sent string) (kind string, params map[string]string) {
	kind, params, err := mime.ParseMediaType(sent)
	switch {
	case err == nil || errors.Is(err, mime.ErrInvalidMediaParameter):
		return kind, params
	case p.Strict:
		return "", nil
	}
	kind, _, _ = strings.Cut(sent, ";")
	return strings.ToLower(strings.TrimSpace(kind)), nil
}

// Form reads name=value&…: a percent sign that encodes nothing stands for itself.
func (p Parser) Form(body []byte) (map[string]any, *Refusal) {
	fields := map[string]any{}
	n := 0
	for pair := range strings.SplitSeq(string(body), "&") {
		if pair != "" || p.Strict {
			n++
		}
		switch {
		case n > maxFields && p.Strict:
			return nil, malformed("The form has too many fields.")
		case n > maxFields:
			return fields, nil
		case pair != "":
			name, value, _ := strings.Cut(pair, "=")
			fields[unquoted(name)] = unquoted(value)
		}
	}
	return fields, nil
}

func unquoted(s string) string { return valid(compat.Unquote(s)) }

func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

func (p Parser) multipart(body []byte, boundary string) (map[string]any, *Refusal) {
	if boundary == "" || p.Boundary > 0 && len(boundary) > p.Boundary {
		return nil, malformed("Multipart form parse error - Invalid boundary in multipart: None")
	}
	fields := map[string]any{}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return fields, nil
		}
		var text []byte
		if err == nil && n < maxFields {
			text, err = io.ReadAll(part) // of a body that is in memory already
		}
		switch {
		case err == nil && n < maxFields:
		case p.Strict:
			return nil, malformed("Multipart form parse error - The form cannot be read.")
		default:
			return fields, nil
		}
		switch name := valid(part.FormName()); {
		case name == "":
		case part.FileName() != "":
			fields[name] = File{}
		default:
			fields[name] = valid(string(text))
		}
	}
}
