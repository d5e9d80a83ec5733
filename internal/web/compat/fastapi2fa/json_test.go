package fastapi2fa

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// Broken JSON is answered in FastAPI's form, and what cannot be read at all is no
// finding.
func TestBrokenJSON(t *testing.T) {
	_, err := decode([]byte("{\"a\":1,\n }"))
	r, ok := errors.AsType[*reply](err)
	if !ok || r.status != 422 {
		t.Fatal(err)
	}
	got, err := json.Marshal(r.detail)
	const want = `[{"loc":["body",9],"msg":"Expecting property name enclosed in double quotes: line 2 column 2 (char 9)","type":"value_error.jsondecode",` +
		`"ctx":{"msg":"Expecting property name enclosed in double quotes","pos":9,"lineno":2,"colno":2}}]`
	if err != nil || string(got) != want {
		t.Errorf("got %s %v\nwant %s", got, err, want)
	}
	for _, text := range []string{strings.Repeat("[", 100_000), strings.Repeat("[", 500) + "1", "\"\xff\"", "\x00{", "\ufeff{\x00", strings.Repeat("9", 5000)} {
		_, err := decode([]byte(text))
		if r, ok := errors.AsType[*reply](err); !ok || r.status != 400 {
			t.Errorf("%.10q: %v", text, err)
		}
	}
	if v, err := decode([]byte("\ufeff true")); v != true || err != nil {
		t.Errorf("behind a byte order mark: %v %v", v, err)
	}
}
