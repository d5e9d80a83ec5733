package trench

import (
	"strings"
	"testing"
)

// The words are those of the original's parser; package pyjson has the rest of them.
func TestJSONErrors(t *testing.T) {
	for text, want := range map[string]string{
		`[1,]`:                  "Expecting value: line 1 column 4 (char 3)",
		`[NaN]`:                 "Out of range float values are not JSON compliant: 'NaN'",
		`-Infinity`:             "Out of range float values are not JSON compliant: '-Infinity'",
		"\ufeff{}":              "Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)",
		"[\"\xff\"]":            "'utf-8' codec can't decode byte 0xff in position 2: invalid start byte",
		"[\"\xc3\"]":            "'utf-8' codec can't decode byte 0xc3 in position 2: invalid continuation byte",
		"[\"\xe2\x82\"]":        "'utf-8' codec can't decode bytes in position 2-3: invalid continuation byte",
		"[\"\xc3":               "Unterminated string starting at: line 1 column 2 (char 1)",
		strings.Repeat("[", 65): "maximum recursion depth exceeded",
	} {
		if _, err := decodeJSON([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if v, err := decodeJSON([]byte(strings.Repeat("[", 64) + "1" + strings.Repeat("]", 64))); err != nil {
		t.Errorf("%v %v", v, err)
	}
	if v, err := decodeJSON([]byte("[]\xe2\x82")); err != nil { // the original's stream waits for more
		t.Errorf("half a character at the end: %v %v", v, err)
	}
	if v, err := decodeJSON([]byte(`"\ud83dx"`)); err != nil || v != "\xed\xa0\xbdx" {
		t.Errorf("half a pair: %q %v", v, err)
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
