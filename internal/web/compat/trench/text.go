package trench

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pythonText is str() of a JSON value: what the original compares and repeats.
func pythonText(value any) string {
	switch v := value.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		return v
	case integer:
		return string(v)
	case float:
		return floatText(float64(v))
	}
	return fmt.Sprint(value)
}

// floatText writes a float as Python does: the shortest text that reads back.
func floatText(f float64) string {
	switch size := math.Abs(f); {
	case math.IsInf(f, 0):
		return strings.ToLower(strings.TrimPrefix(fmt.Sprint(f), "+"))
	case size != 0 && (size < 1e-4 || size >= 1e16):
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// trimmed is Python's strip: white space is what Unicode calls so, and four
// separators of ASCII.
func trimmed(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f })
}

// typeName is how Python calls the type of a JSON value.
func typeName(value any) string {
	switch value.(type) {
	case bool:
		return "bool"
	case string:
		return "str"
	case integer:
		return "int"
	case float:
		return "float"
	case []any:
		return "list"
	}
	return "dict"
}

// surrogate finds half a surrogate pair, which decodeJSON lets through.
func surrogate(s string) (rune, bool) {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			if i+2 < len(s) {
				return rune(s[i]&0x0f)<<12 | rune(s[i+1]&0x3f)<<6 | rune(s[i+2]&0x3f), true
			}
			return utf8.RuneError, true
		}
		i += size
	}
	return 0, false
}
