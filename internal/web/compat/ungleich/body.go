package ungleich

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a field holds. The zero kind is nothing: the field is not there.
type kind uint8

const (
	isMissing kind = iota
	isText
	isNumber
	isNull
	isOther // a list, an object, true, false, a file
)

type value struct {
	kind kind
	text string // of a text or a number
}

// fields are those of a body.
type fields map[string]value

// maxFields bounds the fields of a form.
const maxFields = 1000

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
	typeFile = "multipart/form-data"
)

// decode reads a body that is not empty.
func (f form) decode(contentType string, body []byte) (fields, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		media = ""
	}
	switch {
	case media == typeForm:
		return decodeForm(body)
	case media == typeFile && f == rest:
		return decodeMultipart(body, params["boundary"])
	case media == typeJSON || media == "" && contentType == "" && f == plain:
		return f.decodeJSON(body)
	case f == rest:
		return nil, &refusal{status: http.StatusUnsupportedMediaType, text: fmt.Sprintf("Unsupported media type \"%s\" in request.", contentType)}
	}
	return nil, &refusal{status: http.StatusUnsupportedMediaType, text: "Send a JSON object with the content type application/json."}
}

func (f form) decodeJSON(body []byte) (fields, error) {
	found, object, err := parseJSON(body)
	switch {
	case err != nil && f == rest:
		return nil, malformed("JSON parse error - " + err.Error())
	case err != nil:
		return nil, malformed("The body is not JSON: " + err.Error())
	case !object && f == plain:
		return nil, malformed("The body is not a JSON object.")
	}
	return found, nil // nobody, where it is no object
}

func malformed(text string) *refusal { return &refusal{status: http.StatusBadRequest, text: text} }

// decodeForm reads a form as the original's framework does: the last of two fields
// wins, and a percent sign that is none stays.
func decodeForm(body []byte) (fields, error) {
	found := fields{}
	for n, pair := range strings.Split(string(body), "&") {
		if n >= maxFields {
			return nil, malformed("The form has too many fields.")
		}
		if pair == "" {
			continue
		}
		name, text, _ := strings.Cut(pair, "=")
		found[unescape(name)] = value{isText, unescape(text)}
	}
	return found, nil
}

func unescape(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return strings.ToValidUTF8(plain, "\ufffd")
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c, width := text[i], 0
		if c == '%' && i+2 < len(text) {
			if plain, err := url.QueryUnescape(text[i : i+3]); err == nil {
				c, width = plain[0], 2
			}
		} else if c == '+' {
			c = ' '
		}
		b.WriteByte(c)
		i += width
	}
	return strings.ToValidUTF8(b.String(), "\ufffd")
}

func decodeMultipart(body []byte, boundary string) (fields, error) {
	if boundary == "" {
		return nil, malformed("Multipart form parse error - Invalid boundary in multipart: None")
	}
	found := fields{}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil || n >= maxFields {
			return nil, malformed("Multipart form parse error - The form cannot be read.")
		}
		text, err := io.ReadAll(part) // of a body that is in memory already
		if err != nil {
			return nil, malformed("Multipart form parse error - The form cannot be read.")
		}
		switch name := part.FormName(); {
		case name == "":
		case part.FileName() != "":
			found[name] = value{kind: isOther}
		default:
			found[name] = value{isText, strings.ToValidUTF8(string(text), "\ufffd")}
		}
	}
}

// maxText bounds a field of the ages C and D, in characters.
const maxText = 128

// char reads a field as the original's CharField(max_length=128) does: trimmed, with
// numbers as texts. errs are its errors, in its words.
func (v value) char() (text string, errs []string) {
	text = trim(v.text)
	switch {
	case v.kind == isMissing:
		return "", []string{"This field is required."}
	case v.kind == isNull:
		return "", []string{"This field may not be null."}
	case v.kind == isOther:
		return "", []string{"Not a valid string."}
	case text == "":
		return "", []string{"This field may not be blank."}
	}
	if utf8.RuneCountInString(text) > maxText {
		errs = append(errs, fmt.Sprintf("Ensure this field has no more than %d characters.", maxText))
	}
	if strings.Contains(text, "\x00") {
		errs = append(errs, "Null characters are not allowed.")
	}
	return text, errs
}

// trim takes away what Python's str.strip does.
func trim(text string) string {
	return strings.TrimFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f })
}

// chars reads several fields; all must be good.
func (f fields) chars(names ...string) (texts []string, errs perField) {
	for _, name := range names {
		text, wrong := f[name].char()
		if len(wrong) > 0 {
			errs = append(errs, fieldError{name, wrong})
		}
		texts = append(texts, text)
	}
	return texts, errs
}

// has reports whether a field is there, whatever it holds.
func (f fields) has(name string) bool {
	_, ok := f[name]
	return ok
}

// digits is a token as it goes to the door: what is not made of ASCII digits alone is
// the empty text, which is wrong and counts.
func digits(token string) string {
	if strings.ContainsFunc(token, func(r rune) bool { return r < '0' || r > '9' }) {
		return ""
	}
	return token
}
