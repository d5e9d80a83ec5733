package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"
)

// Meta is embedded in each record: its schema version, and the fields of the
// stored object that this version of the program does not know. They survive a
// rewrite, so that an older program may run for a while over a newer one's store.
// Only fields of the record itself are kept, not those inside nested objects.
type Meta struct {
	Schema  int `json:"v"`
	unknown []unknownField
}

type unknownField struct {
	name  []byte // as it was written: quoted and escaped
	value []byte
}

func (m *Meta) meta() *Meta { return m }

type record interface{ meta() *Meta }

// Versioned is a record type whose schema is not version 1. Encode raises an
// older record's version to it and leaves a newer one's alone.
type Versioned interface{ SchemaVersion() int }

// Load reads a record. Errors: ErrNotFound.
// T is a struct that embeds [Meta]; a T that does not is a mistake: Load panics.
func Load[T any](tx Tx, key []byte) (*T, error) {
	value, err := tx.Get(key)
	if err != nil {
		return nil, err
	}
	return Decode[T](value)
}

// Save writes a record that is gone at expires (zero time: never).
func Save[T any](tx Tx, key []byte, rec *T, expires time.Time) error {
	value, err := Encode(rec)
	if err != nil {
		return err
	}
	return tx.Put(key, value, expires)
}

// Decode reads a record's JSON. A newer schema is no error as long as it fits.
// Error texts hold no values.
func Decode[T any](value []byte) (*T, error) {
	rec := new(T)
	meta := metaOf(rec)
	if err := json.Unmarshal(value, rec); err != nil {
		return nil, fmt.Errorf("decode record %s: %w", reflect.TypeFor[T](), withoutValue(err))
	}
	unknown, err := unknownFields(value, knownFields(reflect.TypeFor[T]()))
	if err != nil {
		return nil, fmt.Errorf("decode record %s: %w", reflect.TypeFor[T](), err)
	}
	meta.unknown = unknown
	return rec, nil
}

// Encode writes a record as JSON, with the unknown fields that it was read with.
func Encode[T any](rec *T) ([]byte, error) {
	meta := metaOf(rec)
	version := 1
	if v, ok := any(rec).(Versioned); ok {
		version = v.SchemaVersion()
	}
	meta.Schema = max(meta.Schema, version)
	value, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("encode record %s: %w", reflect.TypeFor[T](), err)
	}
	if len(meta.unknown) == 0 {
		return value, nil
	}
	value = bytes.TrimSuffix(value, []byte("}"))
	for _, f := range meta.unknown {
		value = append(value, ',') // "v" always stands before
		value = append(value, f.name...)
		value = append(value, ':')
		value = append(value, f.value...)
	}
	return append(value, '}'), nil
}

func metaOf(rec any) *Meta {
	r, ok := rec.(record)
	if !ok {
		panic(fmt.Sprintf("store: record type %T does not embed store.Meta", rec))
	}
	return r.meta()
}

// withoutValue drops what encoding/json quotes from the input: it may be a secret.
func withoutValue(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("field %q does not hold a %v", wrong.Field, wrong.Type)
	}
	if bad, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not JSON at byte %d", bad.Offset)
	}
	return errors.New("a field holds what its type refuses")
}

var fieldCache sync.Map // reflect.Type → map[string]struct{}, lower case

// knownFields are the JSON names of a struct's fields in lower case, because
// encoding/json accepts any case.
func knownFields(t reflect.Type) map[string]struct{} {
	if known, ok := fieldCache.Load(t); ok {
		return known.(map[string]struct{})
	}
	known := map[string]struct{}{}
	addFields(known, t)
	fieldCache.Store(t, known)
	return known
}

func addFields(known map[string]struct{}, t reflect.Type) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		embedded := f.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		switch {
		case f.Tag.Get("json") == "-":
		case f.Anonymous && name == "" && embedded.Kind() == reflect.Struct:
			addFields(known, embedded)
		case !f.IsExported():
		case name != "":
			known[strings.ToLower(name)] = struct{}{}
		default:
			known[strings.ToLower(f.Name)] = struct{}{}
		}
	}
}
