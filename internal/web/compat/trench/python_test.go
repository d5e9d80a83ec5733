package trench

import (
	"fmt"
	"testing"
)

// The words and places are those of Python 3.11's json, which the original's answers
// repeat.
func TestJSONErrorsAreInPythonsWords(t *testing.T) {
	for text, want := range map[string]string{
		``:                   "Expecting value: line 1 column 1 (char 0)",
		`{`:                  "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
		`{"a" 1}`:            "Expecting ':' delimiter: line 1 column 6 (char 5)",
		"{\"a\":1\n\"b\":2}": "Expecting ',' delimiter: line 2 column 1 (char 7)",
		`{"a":1,}`:           "Expecting property name enclosed in double quotes: line 1 column 8 (char 7)",
		`[1,]`:               "Expecting value: line 1 column 4 (char 3)",
		`{} x`:               "Extra data: line 1 column 4 (char 3)",
		`01`:                 "Extra data: line 1 column 2 (char 1)",
		`"é`:                 "Unterminated string starting at: line 1 column 1 (char 0)",
		`"\`:                 "Unterminated string starting at: line 1 column 1 (char 0)",
		"\"a\tb\"":           "Invalid control character at: line 1 column 3 (char 2)",
		`"é\x"`:              `Invalid \escape: line 1 column 3 (char 2)`,
		`"\u12x4"`:           `Invalid \uXXXX escape: line 1 column 3 (char 2)`,
		`[NaN]`:              "Out of range float values are not JSON compliant: 'NaN'",
		"\ufeff{}":           "Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)",
		"[\"\xff\"]":         "'utf-8' codec can't decode byte 0xff in position 2: invalid start byte",
		"[\"\xc3\"]":         "'utf-8' codec can't decode byte 0xc3 in position 2: invalid continuation byte",
		`tru`:                "Expecting value: line 1 column 1 (char 0)",
	} {
		if _, err := decodeJSON([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestJSONValues(t *testing.T) {
	for text, want := range map[string]string{
		` {"a": [1, -2.50, true, null], "a": "x"} `: `map[a:x]`,
		`["\u00e9\ud83d\ude00\n\/\"", ""]`:          "[é😀\n/\" ]",
		`[null, [], {}]`:                            `[<nil> [] map[]]`,
		`"\ud83d"`:                                  "\xed\xa0\xbd",
		`"\ud83dx"`:                                 "\xed\xa0\xbdx",
	} {
		got, err := decodeJSON([]byte(text))
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v %v, want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{`-0`: "0", `012`[1:]: "12", `1e2`: "100.0", `1.50`: "1.5", `1e16`: "1e+16", `1e-5`: "1e-05", `-1e999`: "-inf", `123456`: "123456", `true`: "True", `null`: "None", `0.0`: "0.0"} {
		got, err := decodeJSON([]byte(text))
		if err != nil || pythonText(got) != want {
			t.Errorf("%s: %s %v, want %s", text, pythonText(got), err, want)
		}
	}
}

// What the original would not take as a code is none here.
func TestTypedCodes(t *testing.T) {
	for code, want := range map[string]string{"123456": "123456", "123 456": unreadable, "123-456": unreadable, "１２３４５６": "１２３４５６", "abcd-efgh": "abcd-efgh",
		"12345678": "12345678", "1234-5678": unreadable, "": ""} {
		if got := typed(code); got != want {
			t.Errorf("%q: %q, want %q", code, got, want)
		}
	}
}

// An auth_token has the original's form, leads to its session alone, and nobody makes
// one without both keys.
func TestOpaqueTokens(t *testing.T) {
	key, mac := make([]byte, 32), make([]byte, 32)
	key[0], mac[0] = 1, 2
	o, err := newOpaque(key, mac)
	if err != nil {
		t.Fatal(err)
	}
	const id = "00112233445566778899aabbccddeeff"
	token, err := o.make(id)
	if sid, good := o.read(token); err != nil || len(token) != 40 || !good || sid != id {
		t.Fatalf("%s: %s %v %v", token, sid, good, err)
	}
	for _, other := range [][2][]byte{{mac, mac}, {key, key}} {
		forger, _ := newOpaque(other[0], other[1])
		forged, _ := forger.make(id)
		if sid, good := o.read(forged); good && sid == id {
			t.Errorf("forged with one of the keys: %s", forged)
		}
	}
	for _, bad := range []string{"", token[:39], token + "0", "A" + token[1:], token[:38] + "zz"} {
		if _, good := o.read(bad); good {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := o.make("short"); err == nil {
		t.Error("a token of no session")
	}
	if _, err := newOpaque(key[:16], mac); err == nil {
		t.Error("a short key is taken")
	}
}
