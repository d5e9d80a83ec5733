package pyjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// What Python's json says of broken texts, as CPython 3.10 to 3.12 print it.
func TestErrorsAreInPythonsWords(t *testing.T) {
	for text, want := range map[string]string{
		``:                     "Expecting value: line 1 column 1 (char 0)",
		`{`:                    "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
		`{"a"`:                 "Expecting ':' delimiter: line 1 column 5 (char 4)",
		`{"a" 1}`:              "Expecting ':' delimiter: line 1 column 6 (char 5)",
		`{"a":1`:               "Expecting ',' delimiter: line 1 column 7 (char 6)",
		"{\"a\":1\n\"b\":2}":   "Expecting ',' delimiter: line 2 column 1 (char 7)",
		`{"a":1,}`:             "Expecting property name enclosed in double quotes: line 1 column 8 (char 7)",
		"{\"a\":1,\n }":        "Expecting property name enclosed in double quotes: line 2 column 2 (char 9)",
		`{"a":1 "b":2}`:        "Expecting ',' delimiter: line 1 column 8 (char 7)",
		`{a:1}`:                "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
		`[1,]`:                 "Expecting value: line 1 column 4 (char 3)",
		`[1`:                   "Expecting ',' delimiter: line 1 column 3 (char 2)",
		`[`:                    "Expecting value: line 1 column 2 (char 1)",
		`"abc`:                 "Unterminated string starting at: line 1 column 1 (char 0)",
		`"é`:                   "Unterminated string starting at: line 1 column 1 (char 0)",
		`"\`:                   "Unterminated string starting at: line 1 column 1 (char 0)",
		`"a\`:                  "Unterminated string starting at: line 1 column 1 (char 0)",
		`"a\x"`:                `Invalid \escape: line 1 column 3 (char 2)`,
		`"é\x"`:                `Invalid \escape: line 1 column 3 (char 2)`,
		`"a\u12g4"`:            `Invalid \uXXXX escape: line 1 column 4 (char 3)`,
		`"\u12x4"`:             `Invalid \uXXXX escape: line 1 column 3 (char 2)`,
		`"a\u12"`:              `Invalid \uXXXX escape: line 1 column 4 (char 3)`,
		`"\u1234`:              `Invalid \uXXXX escape: line 1 column 3 (char 2)`, // nothing follows
		`"\ud83d\ude0"`:        `Invalid \uXXXX escape: line 1 column 9 (char 8)`,
		"\"a\tb\"":             "Invalid control character at: line 1 column 3 (char 2)",
		`{} x`:                 "Extra data: line 1 column 4 (char 3)",
		`01`:                   "Extra data: line 1 column 2 (char 1)",
		`1.`:                   "Extra data: line 1 column 2 (char 1)",
		`1e+`:                  "Extra data: line 1 column 2 (char 1)",
		`-`:                    "Expecting value: line 1 column 1 (char 0)",
		`  `:                   "Expecting value: line 1 column 3 (char 2)",
		`nul`:                  "Expecting value: line 1 column 1 (char 0)",
		`tru`:                  "Expecting value: line 1 column 1 (char 0)",
		"{} \n x":              "Extra data: line 2 column 2 (char 5)",
		"{\"\u00e4\u20ac\":\n": "Expecting value: line 2 column 1 (char 7)",
		"\ufeff{}":             "Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)",
		"[\"\xff\"]":           "'utf-8' codec can't decode byte 0xff in position 2: invalid start byte",
		"[\"\xc3\"]":           "'utf-8' codec can't decode byte 0xc3 in position 2: invalid continuation byte",
		"[\"\xe2\x82\"]":       "'utf-8' codec can't decode bytes in position 2-3: invalid continuation byte",
		"[\"\xf0\x9f\x98\"]":   "'utf-8' codec can't decode bytes in position 2-4: invalid continuation byte",
		"[\"\xe0\x80":          "'utf-8' codec can't decode byte 0xe0 in position 2: invalid continuation byte",
		"[\"\xc3":              "'utf-8' codec can't decode byte 0xc3 in position 2: unexpected end of data",
		"[\"\xe2\x82":          "'utf-8' codec can't decode bytes in position 2-3: unexpected end of data",
	} {
		if _, err := (Reader{Depth: 9}).Decode([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

// A stream waits for the rest of a character at the end, and never complains.
func TestTail(t *testing.T) {
	reader := Reader{Depth: 9, Tail: true}
	for text, want := range map[string]string{
		"[]\xc3": "", "[]\xe2\x82": "", "[] \xf0\x9f\x98": "",
		"[\"\xe2\x82":      "Unterminated string starting at: line 1 column 2 (char 1)",
		"\xc3":             "Expecting value: line 1 column 1 (char 0)",
		"[]\xff":           "'utf-8' codec can't decode byte 0xff in position 2: invalid start byte",
		"[]\x82":           "'utf-8' codec can't decode byte 0x82 in position 2: invalid start byte",
		"[]\xe0\x80":       "'utf-8' codec can't decode byte 0xe0 in position 2: invalid continuation byte",
		"[\"\xc3\"]\xe2":   "'utf-8' codec can't decode byte 0xc3 in position 2: invalid continuation byte",
		"[\"\U0001f600\"]": "",
	} {
		if _, err := reader.Decode([]byte(text)); fmt.Sprint(err) != want && (err != nil || want != "") {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestValues(t *testing.T) {
	for text, want := range map[string]any{
		`"\u00e4\ud83d\ude00\n\/\""`: "\u00e4\U0001f600\n/\"", `""`: "", `"\ud83d"`: "\ufffd", `"\ud83d\u0041"`: "\ufffdA", "\ufeff true": true, `null`: nil,
		`-0`: Int("0"), `12345678901234567890123`: Int("12345678901234567890123"), `1.50`: 1.5, `1E2`: 100.0, `1e999`: math.Inf(1), `-Infinity`: math.Inf(-1),
		`{"a":1,"a":[2,{}]}`: map[string]any{"a": []any{Int("2"), map[string]any{}}}, ` [ -2.50 , null, false ] `: []any{-2.5, nil, false},
	} {
		got, err := Reader{Depth: 9, BOM: true}.Decode([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %#v %v", text, got, err)
		}
	}
	for text, want := range map[string]string{`-0`: "0", `12`: "12", `1e2`: "100.0", `1.50`: "1.5", `1e16`: "1e+16", `1e15`: "1000000000000000.0", `123456789012345680.0`: "1.2345678901234568e+17",
		`1e-5`: "1e-05", `0.0001`: "0.0001", `-2.5`: "-2.5", `-1e999`: "-inf", `Infinity`: "inf", `NaN`: "nan", `true`: "True", `false`: "False", `null`: "None", `0.0`: "0.0", `"x"`: "x"} {
		got, err := Reader{}.Decode([]byte(text))
		if err != nil || Str(got) != want {
			t.Errorf("%s: %s %v, want %s", text, Str(got), err, want)
		}
	}
	if got := Strip("\x1c\u00a0 a b\u2003\r\n"); got != "a b" {
		t.Errorf("stripped: %q", got)
	}
}

// Half a pair is found again where it is kept.
func TestHalves(t *testing.T) {
	for text, want := range map[string]string{`"\ud83d"`: "\xed\xa0\xbd", `"\ude00x"`: "\xed\xb8\x80x", `"\ud83d\ude00"`: "\U0001f600"} {
		got, err := Reader{Halves: true}.Decode([]byte(text))
		if err != nil || got != want {
			t.Errorf("%s: %q %v", text, got, err)
		}
	}
	if r, found := Half("a\xed\xa0\xbdb"); !found || r != 0xd83d {
		t.Errorf("%U %v", r, found)
	}
	if _, found := Half("a\U0001f600\ufffd"); found {
		t.Error("half a pair where there is none")
	}
}

func TestBounds(t *testing.T) {
	nested := func(n int, in string) []byte { return []byte(strings.Repeat("[", n) + in + strings.Repeat("]", n)) }
	for _, c := range []struct {
		reader Reader
		text   []byte
		want   error
	}{
		{Reader{}, []byte("1"), nil},
		{Reader{}, []byte("{}"), ErrDepth},
		{Reader{Depth: 3}, nested(3, "1"), nil},
		{Reader{Depth: 3}, nested(4, ""), ErrDepth},
		{Reader{Depth: 3, Leaves: true}, nested(3, ""), nil},
		{Reader{Depth: 3, Leaves: true}, nested(3, "1"), ErrDepth},
		{Reader{Depth: 3}, []byte("[[],{},[[]]]"), nil},
		{Reader{Depth: 900}, []byte(strings.Repeat(`{"a":[`, 1e5)), ErrDepth},
		{Reader{Digits: 4300}, []byte(strings.Repeat("9", 4300)), nil},
		{Reader{Digits: 4300}, []byte(strings.Repeat("9", 4301)), ErrDigits},
		{Reader{}, []byte(strings.Repeat("9", 5000)), nil},
	} {
		if _, err := c.reader.Decode(c.text); !errors.Is(err, c.want) {
			t.Errorf("%+v, %.10q: %v", c.reader, c.text, err)
		}
	}
	strict := Reader{Depth: 1, Constant: func(word string) (any, error) { return nil, errors.New("no " + word) }}
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		if _, err := strict.Decode([]byte("[" + word + "]")); err == nil || err.Error() != "no "+word {
			t.Errorf("%s: %v", word, err)
		}
	}
}

// What is JSON is read as encoding/json reads it, and nothing that is not.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x\u00e4",null,true]}`, `[`, `"\ud800"`, `{"a":1,"a":2}`, `1e5`, `[NaN,-Infinity]`} {
		f.Add([]byte(s))
	}
	reader := Reader{Depth: 100, BOM: true}
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := reader.Decode(body)
		if err != nil {
			if json.Valid(body) && utf8.Valid(body) && len(body) < reader.Depth {
				t.Errorf("%q is JSON: %v", body, err)
			}
			return
		}
		var same any
		if json.Unmarshal(body, &same) == nil && fmt.Sprint(plain(v)) != fmt.Sprint(plain(same)) {
			t.Errorf("%q became %v, not %v", body, v, same)
		}
		text := strings.NewReplacer("NaN", "0", "-Infinity", "0", "Infinity", "0").Replace(strings.TrimPrefix(string(body), "\ufeff"))
		if !json.Valid([]byte(text)) {
			t.Errorf("%q is no JSON and became %#v", body, v)
		}
	})
}

// plain is a value with whole numbers as encoding/json has them, and one zero.
func plain(v any) any {
	switch v := v.(type) {
	case Int:
		var f float64
		_ = json.Unmarshal([]byte(v), &f)
		return f + 0
	case float64:
		return v + 0
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plain(v[name])
		}
	}
	return v
}
