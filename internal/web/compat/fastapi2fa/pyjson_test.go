package fastapi2fa

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// What Python's json says of broken texts, as CPython 3.10 to 3.12 print it.
func TestPythonErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                    "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
		`{"a"`:                 "Expecting ':' delimiter: line 1 column 5 (char 4)",
		`{"a":1`:               "Expecting ',' delimiter: line 1 column 7 (char 6)",
		"{\"a\":1,\n }":        "Expecting property name enclosed in double quotes: line 2 column 2 (char 9)",
		`{"a":1 "b":2}`:        "Expecting ',' delimiter: line 1 column 8 (char 7)",
		`{a:1}`:                "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
		`[1,]`:                 "Expecting value: line 1 column 4 (char 3)",
		`[1`:                   "Expecting ',' delimiter: line 1 column 3 (char 2)",
		`[`:                    "Expecting value: line 1 column 2 (char 1)",
		`"abc`:                 "Unterminated string starting at: line 1 column 1 (char 0)",
		`"a\`:                  "Unterminated string starting at: line 1 column 1 (char 0)",
		`"a\x"`:                `Invalid \escape: line 1 column 3 (char 2)`,
		`"a\u12g4"`:            `Invalid \uXXXX escape: line 1 column 4 (char 3)`,
		`"a\u12"`:              `Invalid \uXXXX escape: line 1 column 4 (char 3)`,
		"\"a\tb\"":             "Invalid control character at: line 1 column 3 (char 2)",
		`01`:                   "Extra data: line 1 column 2 (char 1)",
		`1.`:                   "Extra data: line 1 column 2 (char 1)",
		`1e+`:                  "Extra data: line 1 column 2 (char 1)",
		`-`:                    "Expecting value: line 1 column 1 (char 0)",
		`  `:                   "Expecting value: line 1 column 3 (char 2)",
		`nul`:                  "Expecting value: line 1 column 1 (char 0)",
		"{} \n x":              "Extra data: line 2 column 2 (char 5)",
		"{\"\u00e4\u20ac\":\n": "Expecting value: line 2 column 1 (char 7)",
	} {
		_, err := pyDecode([]byte(text))
		r, ok := errors.AsType[*reply](err)
		if !ok || r.status != 422 {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := r.detail.([]invalid)[0].Msg; got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestPythonValues(t *testing.T) {
	for text, want := range map[string]any{
		`"\u00e4\ud83d\ude00\n\/"`: "\u00e4\U0001f600\n/", `"\ud83d"`: "\ufffd", `"\ud83d\u0041"`: "\ufffdA", `-0`: pyInt("0"), `12345678901234567890123`: pyInt("12345678901234567890123"),
		`1.50`: 1.5, `1E2`: 100.0, `1e999`: math.Inf(1), `-Infinity`: math.Inf(-1), "\ufeff true": true, `null`: nil,
		`{"a":1,"a":[2,{}]}`: map[string]any{"a": []any{pyInt("2"), map[string]any{}}},
	} {
		got, err := pyDecode([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %#v %v", text, got, err)
		}
	}
	for f, want := range map[float64]string{1: "1.0", 0.1: "0.1", 1e16: "1e+16", 123456789012345680: "1.2345678901234568e+17", 1e15: "1000000000000000.0", 1e-5: "1e-05", 0.0001: "0.0001", -2.5: "-2.5", math.Inf(-1): "-inf"} {
		if got := pyFloat(f); got != want {
			t.Errorf("%g is printed %s, want %s", f, got, want)
		}
	}
	for _, text := range []string{strings.Repeat("[", 100_000), "\"\xff\"", "\x00{", strings.Repeat("9", 5000)} {
		_, err := pyDecode([]byte(text))
		if r, ok := errors.AsType[*reply](err); !ok || r.status != 400 {
			t.Errorf("%.10q: %v", text, err)
		}
	}
}

// What is JSON is read as encoding/json reads it, and nothing that is not.
func FuzzPython(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x\u00e4",null,true]}`, `[`, `"\ud800"`, `{"a":1,"a":2}`, `1e5`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := pyDecode(body)
		if err != nil {
			if json.Valid(body) && utf8.Valid(body) && len(body) < maxDepth {
				t.Errorf("%q is JSON: %v", body, err)
			}
			return
		}
		text := strings.NewReplacer("NaN", "0", "-Infinity", "0", "Infinity", "0").Replace(strings.TrimPrefix(string(body), "\ufeff"))
		if !json.Valid([]byte(text)) {
			t.Errorf("%q is no JSON and became %#v", body, v)
		}
	})
}
