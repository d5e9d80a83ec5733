package trench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// The sentences that the original has about a field.
const (
	required   = "This field is required."
	blank      = "This field may not be blank."
	null       = "This field may not be null."
	noText     = "Not a valid string."
	nullChar   = "Null characters are not allowed."
	nonField   = "non_field_errors"
	maxName    = 255 // characters of a method's name
	tooLong255 = "Ensure this field has no more than 255 characters."
)

// fieldErrors are what is wrong with a body, field by field, in the order in which
// the original names them.
type fieldErrors []fieldError

type fieldError struct{ field, text string }

// MarshalJSON writes an object of lists.
func (e fieldErrors) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, f := range e {
		if i > 0 {
			out = append(out, ',')
		}
		field, err := json.Marshal(f.field)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal([]string{f.text})
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, field...), ':'), text...)
	}
	return append(out, '}'), nil
}

func fieldAnswer(field, text string) *answer {
	return &answer{status: http.StatusBadRequest, body: fieldErrors{{field, text}}}
}

// fields reads the fields of a body and collects what is wrong with them.
type fields struct {
	data
	object map[string]any
	wrong  fieldErrors
}

// fields parses the body. What is no object has no fields.
func (c *call) fields() (*fields, *answer) {
	d, refused := parse(c.r.Header, c.body)
	if refused != nil {
		return nil, refused
	}
	object, ok := d.value.(map[string]any)
	switch {
	case d.value == nil:
		return nil, fieldAnswer(nonField, "No data provided")
	case !ok:
		return nil, fieldAnswer(nonField, fmt.Sprintf("Invalid data. Expected a dictionary, but got %s.", typeName(d.value)))
	}
	return &fields{data: d, object: object}, nil
}

// refused answers with what is wrong, if anything is.
func (f *fields) refused() *answer {
	if len(f.wrong) == 0 {
		return nil
	}
	return &answer{status: http.StatusBadRequest, body: f.wrong}
}

func (f *fields) bad(field, text string) (string, bool) {
	f.wrong = append(f.wrong, fieldError{field, text})
	return "", false
}

// text reads a text: trimmed, numbers become texts. sent is false where it is not
// there, which is wrong if it must be, and where it is wrong.
func (f *fields) text(field string, must bool) (text string, sent bool) {
	value, there := f.object[field]
	if !must && f.form && value == "" {
		value, there = nil, false
	}
	switch v := value.(type) {
	case nil:
		switch {
		case there:
			return f.bad(field, null)
		case must:
			return f.bad(field, required)
		}
		return "", false
	case string, integer, float:
		text = trimmed(pythonText(v))
	default:
		return f.bad(field, noText)
	}
	if text == "" {
		return f.bad(field, blank)
	}
	for _, c := range text {
		if c == 0 {
			return f.bad(field, nullChar)
		}
	}
	if r, half := surrogate(text); half {
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

// choice reads one of some names, which must be there.
func (f *fields) choice(field string, choices []string) (choice string, sent bool) {
	value, there := f.object[field]
	switch {
	case !there:
		return f.bad(field, required)
	case value == nil:
		return f.bad(field, null)
	}
	choice = pythonText(value)
	for _, c := range choices {
		if c == choice {
			return c, true
		}
	}
	return f.bad(field, fmt.Sprintf("\"%s\" is not a valid choice.", strings.ToValidUTF8(choice, "�")))
}
