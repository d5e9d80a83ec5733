package trench

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/web/compat/drf"
	"github.com/sallyport-auth/sallyport/internal/web/compat/pyjson"
)

const (
	// maxDepth bounds how deep a body may nest. The original fails at about a thousand.
	maxDepth = 64
	// maxName bounds the name of a method, in characters.
	maxName    = 255
	tooLong255 = "Ensure this field has no more than 255 characters."
)

// bodies says how the original reads its bodies: a form that is broken counts as far
// as it was read.
func bodies() drf.Parser { return drf.Parser{JSON: decodeJSON, Boundary: 200} }

// decodeJSON reads a JSON text. Half surrogate pairs come through: text refuses them.
func decodeJSON(body []byte) (any, error) {
	return pyjson.Reader{Depth: maxDepth, Halves: true, Tail: true, Constant: noConstant}.Decode(body)
}

func noConstant(word string) (any, error) {
	return nil, errors.New("Out of range float values are not JSON compliant: '" + word + "'")
}

func wrongField(field, text string) drf.FieldError {
	return drf.FieldError{Field: field, Texts: []string{text}}
}

func fieldAnswer(field, text string) *answer {
	return &answer{status: http.StatusBadRequest, body: drf.FieldErrors{wrongField(field, text)}}
}

// fields reads the fields of a body and collects what is wrong with them.
type fields struct {
	object map[string]any
	form   bool // no JSON: an empty field that need not be there is not there
	wrong  drf.FieldErrors
}

// fields parses the body. What is no object has no fields.
func (c *call) fields() (*fields, *answer) {
	value, form, refused := bodies().Parse(c.r.Header.Get("Content-Type"), c.body)
	if refused != nil {
		return nil, refusedBody(refused)
	}
	object, ok := value.(map[string]any)
	switch {
	case value == nil:
		return nil, fieldAnswer(drf.NonField, "No data provided")
	case !ok:
		return nil, fieldAnswer(drf.NonField, fmt.Sprintf("Invalid data. Expected a dictionary, but got %s.", typeName(value)))
	}
	return &fields{object: object, form: form}, nil
}

// refusedBody is what is said of a body that is not read.
func refusedBody(r *drf.Refusal) *answer {
	return detail(r.Status, strings.ToValidUTF8(r.Text, "�"))
}

// typeName is how Python calls the type of a JSON value that is no object.
func typeName(value any) string {
	switch value.(type) {
	case bool:
		return "bool"
	case string:
		return "str"
	case pyjson.Int:
		return "int"
	case float64:
		return "float"
	}
	return "list"
}

// refused answers with what is wrong, if anything is.
func (f *fields) refused() *answer {
	if len(f.wrong) == 0 {
		return nil
	}
	return &answer{status: http.StatusBadRequest, body: f.wrong}
}

func (f *fields) bad(field, text string) (string, bool) {
	f.wrong = append(f.wrong, wrongField(field, text))
	return "", false
}

// text reads a text. sent is false where it is not there, which is wrong if it must
// be, and where it is wrong.
func (f *fields) text(field string, must bool) (text string, sent bool) {
	value, there := f.object[field]
	if !must && (!there || f.form && value == "") {
		return "", false
	}
	text, wrong := drf.Text(value, there)
	switch {
	case wrong != "":
		return f.bad(field, wrong)
	case strings.Contains(text, "\x00"):
		return f.bad(field, drf.NullChar)
	}
	if r, half := pyjson.Half(text); half {
		return f.bad(field, fmt.Sprintf("Surrogate characters are not allowed: U+%X.", r))
	}
	return text, true
}

// name reads the name of a method, which need not be there.
func (f *fields) name(field string) (name string, sent bool) {
	name, sent = f.text(field, false)
	if sent && utf8.RuneCountInString(name) > maxName {
		return f.bad(field, tooLong255)
	}
	return name, sent
}

// must is name, where it must be there.
func (f *fields) must(field string) (name string, sent bool) {
	name, sent = f.text(field, true)
	if sent && utf8.RuneCountInString(name) > maxName {
		return f.bad(field, tooLong255)
	}
	return name, sent
}

// choice reads one of the names that there are, which must be there.
func (f *fields) choice(field string, known func(string) bool) (choice string, sent bool) {
	value, there := f.object[field]
	switch {
	case !there:
		return f.bad(field, drf.Required)
	case value == nil:
		return f.bad(field, drf.Null)
	}
	choice = pyjson.Str(value)
	if known(choice) {
		return choice, true
	}
	return f.bad(field, fmt.Sprintf("\"%s\" is not a valid choice.", strings.ToValidUTF8(choice, "�")))
}
