package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"
)

const (
	// maxBody bounds a request body, in bytes: more than any call needs.
	maxBody = 64 << 10
	// maxDepth bounds how deep a body nests. The deepest known one has 4.
	maxDepth = 16
)

// The refusals of checkBody. Their texts are public: none repeats input.
var (
	errBodySyntax    = errors.New("the body is not one well-formed JSON document in UTF-8")
	errBodyTrailing  = errors.New("something follows the JSON document in the body")
	errBodyNotObject = errors.New("the body must be a JSON object")
	errBodyDuplicate = errors.New("the body has the same field twice")
	errBodyUnknown   = errors.New("the body has a field that this call does not know; fields are written exactly as documented, capitals included")
	errBodyDepth     = errors.New("the body nests too deeply")
	errBodyNull      = errors.New("the body has null where a value is expected: leave a field out that has none")
)

// checkBody refuses what encoding/json would let pass: the same field twice
// (two readers may take different ones), a field in other capitals, an unknown
// field, a second document, invalid UTF-8, and null, which would be taken for a
// field that is not there, but in place of a list. shape is the Go type that the body
// will be decoded into; nil means that no field is known. It stores nothing:
// decoding follows.
func checkBody(body []byte, shape reflect.Type) error {
	if !utf8.Valid(body) || !json.Valid(body) {
		return syntaxOrTrailing(body)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	first, err := dec.Token()
	if err != nil {
		return errBodySyntax
	}
	if first != json.Delim('{') {
		return errBodyNotObject
	}
	return checkObject(dec, fieldsOf(shape), 1)
}

// syntaxOrTrailing tells one document with something behind it from none.
func syntaxOrTrailing(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	var document json.RawMessage
	if !utf8.Valid(body) || dec.Decode(&document) != nil {
		return errBodySyntax
	}
	if _, err := dec.Token(); err == io.EOF {
		return errBodySyntax
	}
	return errBodyTrailing
}

// fields are the fields of an object by their exact names; nil knows none.
type fields map[string]reflect.Type

// fieldsOf lists what encoding/json would fill in a struct of this type.
// Anything but a struct has no named fields.
func fieldsOf(t reflect.Type) fields {
	t = plain(t)
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	known := fields{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Tag.Get("json") == "" {
			for name, inner := range fieldsOf(f.Type) {
				known[name] = inner
			}
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" && f.IsExported() {
			known[name] = f.Type
		}
	}
	return known
}

// isList reports whether a field is a list: many clients write an empty one as null,
// and the description says so.
func isList(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Slice
}

// plain strips pointers and lists: what an object in their place would fill.
func plain(t reflect.Type) reflect.Type {
	for t != nil && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice) {
		t = t.Elem()
	}
	return t
}

// checkObject reads an object whose brace is already consumed. The document is
// known to be well-formed.
func checkObject(dec *json.Decoder, known fields, depth int) error {
	if depth > maxDepth {
		return errBodyDepth
	}
	seen := make(map[string]bool, len(known))
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return errBodySyntax
		}
		name, _ := key.(string)
		t, ok := known[name]
		switch {
		case !ok:
			return errBodyUnknown
		case seen[name]:
			return errBodyDuplicate
		}
		seen[name] = true
		if err := checkValue(dec, t, depth, isList(t)); err != nil {
			return err
		}
	}
	_, err := dec.Token() // the closing brace
	return err
}

func checkValue(dec *json.Decoder, t reflect.Type, depth int, nullable bool) error {
	token, err := dec.Token()
	if err != nil {
		return errBodySyntax
	}
	if isOpaque(t) {
		return checkOpaque(dec, token, depth)
	}
	switch token {
	case nil:
		if !nullable {
			return errBodyNull
		}
	case json.Delim('{'):
		return checkObject(dec, fieldsOf(t), depth+1)
	case json.Delim('['):
		return checkList(dec, t, depth+1)
	}
	return nil
}

// checkOpaque reads a value whose fields this package does not know: any name, but each
// once, in whatever capitals, because whoever decodes it ignores those.
func checkOpaque(dec *json.Decoder, token json.Token, depth int) error {
	open, nests := token.(json.Delim)
	if !nests {
		return nil
	}
	if depth++; depth > maxDepth {
		return errBodyDepth
	}
	seen := map[string]bool{}
	for dec.More() {
		if open == '{' {
			key, err := dec.Token()
			if err != nil {
				return errBodySyntax
			}
			name, _ := key.(string)
			if name = strings.ToLower(name); seen[name] {
				return errBodyDuplicate
			}
			seen[name] = true
		}
		value, err := dec.Token()
		if err != nil {
			return errBodySyntax
		}
		if err := checkOpaque(dec, value, depth); err != nil {
			return err
		}
	}
	_, err := dec.Token() // what closes it
	return err
}

func checkList(dec *json.Decoder, t reflect.Type, depth int) error {
	if depth > maxDepth {
		return errBodyDepth
	}
	for dec.More() {
		if err := checkValue(dec, t, depth, false); err != nil {
			return err
		}
	}
	_, err := dec.Token() // the closing bracket
	return err
}
