package adjure

import (
	"strings"
	"testing"
)

// What Python 3.11 prints for the same values.
func TestRepr(t *testing.T) {
	for text, want := range map[string]string{
		`1e16`: "1e+16", `1e15`: "1000000000000000.0", `123456789012345680.0`: "1.2345678901234568e+17", `0.0001`: "0.0001", `0.00001`: "1e-05", `0.10`: "0.1",
		`-0.0`: "-0.0", `-0`: "0", `1E22`: "1e+22", `5e-324`: "5e-324", `-1e999`: "-inf", `12345678901234567890123`: "12345678901234567890123",
		`"it's"`: `"it's"`, `"\""`: `'"'`, `"it's \"x\""`: `'it\'s "x"'`, `"a\nb\t\r\\"`: `'a\nb\t\r\\'`, `"\u0000\u007f\u0080\u00a0\u00ad"`: `'\x00\x7f\x80\xa0\xad'`,
		`"é日\u200b\ud83d\ude00\ue000"`: `'é日\u200b😀\ue000'`, `[]`: "[]", `{}`: "{}", `[null, true, false]`: "[None, True, False]",
		`{"b": [1, {"c": "d"}], "a": 1, "b": 2}`: "{'b': 2, 'a': 1}",
	} {
		v, err := parse([]byte(text))
		if err != nil || repr(v) != want {
			t.Errorf("%s: %s, want %s (%v)", text, repr(v), want, err)
		}
	}
}

// What pprint prints in 72 columns, and jsonschema indents.
func TestDump(t *testing.T) {
	v, err := parse([]byte(`{"user_id": "x", "z": [{"k": "` + strings.Repeat("v", 60) + `", "l": ["` + strings.Repeat("m", 30) + `", "` + strings.Repeat("n", 30) + `", {"deep": "` + strings.Repeat("o", 40) + `"}]}], "a": 1.5e-7}`))
	want := `    {'a': 1.5e-07,
     'user_id': 'x',
     'z': [{'k': 'vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv',
            'l': ['mmmmmmmmmmmmmmmmmmmmmmmmmmmmmm',
                  'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnn',
                  {'deep': 'oooooooooooooooooooooooooooooooooooooooo'}]}]}`
	if got := dump(v); err != nil || got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	want = `    {'additionalProperties': False,
     'properties': {'hash_algorithm': {'enum': ['SHA1', 'SHA256', 'SHA512'],
                                       'type': 'string'},
                    'key_length': {'enum': [6, 8], 'type': 'number'},
                    'key_valid_duration': {'maximum': 3600,
                                           'minimum': 0,
                                           'multipleOf': 1,
                                           'type': 'number'},
                    'user_id': {'type': 'string'}},
     'required': ['user_id'],
     'type': 'object'}`
	if got := dump(provisionSchema.python()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// An answer repeats no more of a request than a screen holds, and no half characters.
func TestEcho(t *testing.T) {
	if got := echo("x" + strings.Repeat("ü", maxEcho)); got != "x"+strings.Repeat("ü", maxEcho/2-1)+"... (2049 bytes)" {
		t.Errorf("%q", got)
	}
	if got := string(ascii([]byte(`"é日😀"`))); got != `"\u00e9\u65e5\ud83d\ude00"` {
		t.Error(got)
	}
}
