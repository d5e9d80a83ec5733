package pyjson

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// Str is Python's str of a value that is no array and no object; those are written as
// Go does.
func Str(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		return v
	case Int:
		return string(v)
	case float64:
		return Float(v)
	}
	return fmt.Sprint(v)
}

// Float writes a float as Python's str does: the shortest text that reads back.
func Float(f float64) string {
	size := math.Abs(f)
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case size != 0 && (size < 1e-4 || size >= 1e16):
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// Strip is Python's str.strip: white space is what Unicode calls so, and four
// separators of ASCII.
func Strip(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f })
}
