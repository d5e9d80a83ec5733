package drf

import (
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/pyjson"
)

// What the framework says of a field.
const (
	Required = "This field is required."
	Blank    = "This field may not be blank."
	Null     = "This field may not be null."
	NotText  = "Not a valid string."
	NullChar = "Null characters are not allowed."
)

// FieldErrors are what is wrong with a body, field by field, in the order in which the
// original names them.
type FieldErrors []FieldError

// FieldError is what is wrong with one field.
type FieldError struct {
	Field string
	Texts []string
}

// MarshalJSON writes an object of lists in their order.
func (e FieldErrors) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, f := range e {
		if i > 0 {
			out = append(out, ',')
		}
		field, err := compat.EncodeJSON(f.Field)
		if err != nil {
			return nil, err
		}
		texts, err := compat.EncodeJSON(f.Texts)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, field...), ':'), texts...)
	}
	return append(out, '}'), nil
}

// Text reads a field that must be there as a CharField: trimmed, and numbers become
// texts. wrong says why there is none; "": text is good, as far as no limits go.
func Text(value any, there bool) (text, wrong string) {
	switch value.(type) {
	case nil:
		if there {
			return "", Null
		}
		return "", Required
	case string, pyjson.Int, float64:
		text = pyjson.Strip(pyjson.Str(value))
	default:
		return "", NotText
	}
	if text == "" {
		return "", Blank
	}
	return text, ""
}
