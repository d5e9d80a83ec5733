package compat_test

import (
	"testing"

	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

func TestUnquote(t *testing.T) {
	for text, want := range map[string]string{"": "", "a+b": "a b", "%41%c3%A9": "Aé", "%": "%", "%4": "%4", "%zz%41": "%zzA", "100%+x": "100% x", "%ff": "\xff", "%2%41": "%2A", "%%41": "%A"} {
		if got := compat.Unquote(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestEncodeJSON(t *testing.T) {
	got, err := compat.EncodeJSON(map[string]string{"a": "<&>\xff"})
	if want := `{"a":"<&>\ufffd"}`; err != nil || string(got) != want {
		t.Errorf("%s %v, want %s", got, err, want)
	}
	if _, err := compat.EncodeJSON(func() {}); err == nil {
		t.Error("what is no JSON is written")
	}
}
