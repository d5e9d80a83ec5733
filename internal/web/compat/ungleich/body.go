package ungleich

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/web/compat/drf"
	"github.com/sallyport-auth/sallyport/internal/web/compat/pyjson"
)

// maxDepth bounds nested arrays and objects.
const maxDepth = 901

// fields are those of a body, as package drf has them.
type fields map[string]any

// read reads the fields of a body, whatever the method.
func read(w http.ResponseWriter, r *http.Request, form form) (fields, error) {
	body, refused := drf.ReadBody(w, r)
	if refused != nil {
		return nil, unread(refused)
	}
	if len(body) == 0 {
		return fields{}, nil
	}
	contentType := r.Header.Get("Content-Type")
	if form == plain {
		return decodePlain(contentType, body)
	}
	value, _, refused := bodies().Parse(contentType, body)
	if refused != nil {
		return nil, unread(refused)
	}
	object, _ := value.(map[string]any) // what is no object has no fields
	return object, nil
}

// bodies says how the original reads its bodies.
func bodies() drf.Parser { return drf.Parser{JSON: decodeJSON, Strict: true} }

func decodeJSON(body []byte) (any, error) {
	return pyjson.Reader{Depth: maxDepth, Tail: true, Constant: noConstant}.Decode(body)
}

func noConstant(word string) (any, error) {
	return nil, errors.New("Out of range float values are not JSON compliant: '" + word + "'")
}

// decodePlain reads a body of the ages A and B.
func decodePlain(contentType string, body []byte) (fields, error) {
	media, _ := bodies().MediaType(contentType)
	switch {
	case media == drf.TypeForm:
		found, refused := bodies().Form(body)
		if refused != nil {
			return nil, unread(refused)
		}
		return found, nil
	case media != drf.TypeJSON && contentType != "":
		return nil, &refusal{status: http.StatusUnsupportedMediaType, text: "Send a JSON object with the content type application/json."}
	}
	value, err := decodeJSON(body)
	if err != nil {
		return nil, malformed("The body is not JSON: " + err.Error())
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, malformed("The body is not a JSON object.")
	}
	return object, nil
}

func malformed(text string) *refusal { return &refusal{status: http.StatusBadRequest, text: text} }

// maxText bounds a field of the ages C and D, in characters.
const maxText = 128

// text reads a field without its limits: trimmed, with numbers as texts. wrong is
// what the original says of one that is none.
func (f fields) text(name string) (text, wrong string) {
	value, there := f[name]
	return drf.Text(value, there)
}

// char reads a field as the original's CharField(max_length=128) does. errs are its
// errors, in its words.
func (f fields) char(name string) (text string, errs []string) {
	text, wrong := f.text(name)
	if wrong != "" {
		return "", []string{wrong}
	}
	if utf8.RuneCountInString(text) > maxText {
		errs = append(errs, fmt.Sprintf("Ensure this field has no more than %d characters.", maxText))
	}
	if strings.Contains(text, "\x00") {
		errs = append(errs, drf.NullChar)
	}
	return text, errs
}

// chars reads several fields; all must be good.
func (f fields) chars(names ...string) (texts []string, errs drf.FieldErrors) {
	for _, name := range names {
		text, wrong := f.char(name)
		if len(wrong) > 0 {
			errs = append(errs, drf.FieldError{Field: name, Texts: wrong})
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
