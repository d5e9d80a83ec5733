package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"time"
)

// A key is a prefix, its parts, and an end mark. Each part is written with 0x00
// as 0x00 0xFF and closed by 0x00 0x01; the end mark is 0x00 0x00. So a part says
// itself where it ends, as one with its length in front would: no text that a
// stranger chooses can move a border between parts, two lists of parts never make
// the same key, and no key is the start of another. Unlike with a length in
// front, keys sort as their parts do (shorter lists first), so that a Scan walks
// names in the order of their bytes and can ask for all that start with "ali".
var (
	escapedZero = []byte{0x00, 0xFF}
	endOfPart   = []byte{0x00, 0x01}
	endOfKey    = []byte{0x00, 0x00}
)

// OpenString is a last part without its end, for [KStart] only: it stands for all
// parts that start with it.
type OpenString string

// K makes a key of parts. A part is a string, bytes (slice or array), an integer
// (8 bytes, in order of value), or a time.Time (8 bytes, nanoseconds, in order;
// years 1678 to 2262, what lies outside sorts at the ends), or a named type of these.
// Anything else is a mistake of the programmer: K panics.
func K(p Prefix, parts ...any) Key {
	return append(KPrefix(p, parts...), endOfKey...)
}

// KPrefix is the start of all keys whose first parts are these: for Scan and Watch.
func KPrefix(p Prefix, parts ...any) []byte {
	key := make([]byte, 0, 64)
	key = append(key, p...)
	for _, part := range parts {
		key = append(appendPart(key, part), endOfPart...)
	}
	return key
}

// KStart is the start of all keys whose first parts are these and whose next part
// starts with open.
func KStart(p Prefix, parts ...any) []byte {
	n := len(parts) - 1
	if n < 0 {
		return KPrefix(p)
	}
	open, ok := parts[n].(OpenString)
	if !ok {
		return KPrefix(p, parts...)
	}
	return appendEscaped(KPrefix(p, parts[:n]...), string(open))
}

func appendPart(key []byte, part any) []byte {
	switch v := part.(type) {
	case string:
		return appendEscaped(key, v)
	case []byte:
		return appendEscaped(key, v)
	case [16]byte:
		return appendEscaped(key, v[:])
	case [32]byte:
		return appendEscaped(key, v[:])
	case uint64:
		return appendUint(key, v)
	case time.Time:
		return appendUint(key, ordered(unixNano(v)))
	case OpenString:
		panic("store: an OpenString may only be the last part of KStart")
	}
	return appendByKind(key, reflect.ValueOf(part))
}

func appendByKind(key []byte, v reflect.Value) []byte {
	switch {
	case v.Kind() == reflect.String:
		return appendEscaped(key, v.String())
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return appendEscaped(key, v.Bytes())
	case v.Kind() == reflect.Array && v.Type().Elem().Kind() == reflect.Uint8:
		b := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(b), v)
		return appendEscaped(key, b)
	case v.CanUint():
		return appendUint(key, v.Uint())
	case v.CanInt():
		return appendUint(key, ordered(v.Int()))
	}
	panic(fmt.Sprintf("store: a key part cannot be a %v", v))
}

func appendEscaped[S string | []byte](key []byte, s S) []byte {
	plain := 0 // what lies before it is appended
	for i := range len(s) {
		if s[i] == 0 {
			key = append(append(key, s[plain:i]...), escapedZero...)
			plain = i + 1
		}
	}
	return append(key, s[plain:]...)
}

func appendUint(key []byte, n uint64) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return appendEscaped(key, b[:])
}

// ordered maps int64 to uint64 so that negative numbers sort first.
func ordered(n int64) uint64 { return uint64(n) ^ 1<<63 }

// unixNano is t.UnixNano with what it cannot say moved to the ends.
func unixNano(t time.Time) int64 {
	switch s := t.Unix(); {
	case s < math.MinInt64/int64(time.Second)+1:
		return math.MinInt64
	case s > math.MaxInt64/int64(time.Second)-1:
		return math.MaxInt64
	}
	return t.UnixNano()
}

// Parts takes a key of [K] apart; the parts are copies. A key of another form: false.
func Parts(p Prefix, key []byte) (parts [][]byte, ok bool) {
	if len(key) < len(p) || string(key[:len(p)]) != string(p) {
		return nil, false
	}
	part := []byte{}
	for rest := key[len(p):]; len(rest) > 0; {
		if rest[0] != 0 {
			part, rest = append(part, rest[0]), rest[1:]
			continue
		}
		if len(rest) < 2 {
			return nil, false
		}
		switch rest[1] {
		case escapedZero[1]:
			part = append(part, 0)
		case endOfPart[1]:
			parts, part = append(parts, part), []byte{}
		case endOfKey[1]:
			return parts, len(part) == 0 && len(rest) == 2
		default:
			return nil, false
		}
		rest = rest[2:]
	}
	return nil, false
}

// PartUint reads a part that was an unsigned integer.
func PartUint(part []byte) (n uint64, ok bool) {
	if len(part) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(part), true
}

// PartTime reads a part that was a time.
func PartTime(part []byte) (t time.Time, ok bool) {
	n, ok := PartUint(part)
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(0, int64(n^1<<63)).UTC(), true
}
