package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

const canary = "canary-5up3r-s3cret"

// routes prints v in every way that Go knows, alone and inside other values.
// fmt reads arrays itself for the verbs of unasked (vet refuses those).
func routes(t *testing.T, v any, unasked string) string {
	t.Helper()
	var b bytes.Buffer
	type exported struct{ Seed any }
	type hidden struct{ seed any }
	for _, value := range []any{v, &v, []any{v}, map[string]any{"seed": v}, exported{v}, &exported{v}, fmt.Errorf("fail: %v", v)} {
		for verb := 'A'; verb <= 'z'; verb++ {
			if strings.ContainsRune(unasked, verb) {
				continue
			}
			for _, flag := range []string{"", "+", "#", " ", "-80", "0"} {
				fmt.Fprintf(&b, "%"+flag+string(verb), value)
			}
		}
		fmt.Fprintln(&b, value)
		for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
			slog.New(h).Info("login", "value", value, slog.Any("again", value))
		}
		data, _ := json.Marshal(value)
		b.Write(data)
		data, _ = xml.Marshal(value)
		b.Write(data)
		_ = template.Must(template.New("").Parse("{{.}} {{printf \"%q\" .}}")).Execute(&b, value)
	}
	fmt.Fprintf(&b, "%v %s", hidden{v}.seed, errors.Join(fmt.Errorf("%s", v)))
	return b.String()
}

// A log line, an error, a JSON answer or a debugger's %#v shows the secret to
// whoever reads logs.
func TestSecretsDoNotPrint(t *testing.T) {
	key := secret.Key([]byte("canary-canary-canary-canary-can!"))
	token := secret.NewToken(secret.Ephemeral)
	session := secret.NewSessionToken([]byte("key"))
	text, raw := secret.NewText(canary), secret.NewBytes([]byte(canary))
	for name, c := range map[string]struct {
		value           any
		reveal, unasked string
	}{
		"Text": {text, canary, ""}, "*Text": {&text, canary, ""}, "Bytes": {raw, canary, ""}, "*Bytes": {&raw, canary, ""},
		"Key": {key, string(key[:]), "pw"}, "Token": {token, token.Reveal(), "pw"}, "SessionToken": {session, session.Reveal(), "pw"},
	} {
		printed := routes(t, c.value, c.unasked)
		leaks := []string{c.reveal, c.reveal[4:19], fmt.Sprintf("%x", c.reveal), fmt.Sprintf("%X", c.reveal), strings.Trim(fmt.Sprint([]byte(c.reveal)), "[]"), "Y2FuYXJ5"}
		if encoded, ok := strings.CutPrefix(c.reveal, "sp"); ok {
			raw, err := base64.RawURLEncoding.DecodeString(encoded[2:])
			if err != nil {
				t.Fatal(err)
			}
			leaks = append(leaks, strings.Trim(fmt.Sprint(raw[:8]), "[]"), fmt.Sprintf("%x", raw[:8]), fmt.Sprintf("%X", raw[:8]))
		}
		for _, leak := range leaks {
			if strings.Contains(printed, leak) {
				t.Errorf("%s printed %q", name, leak)
			}
		}
		if strings.Count(printed, "[secret]") < 100 {
			t.Errorf("%s: the routes were not taken", name)
		}
	}
}

// fmt prints the unexported fields of other types without asking them.
func TestSecretsInUnexportedFieldsDoNotPrint(t *testing.T) {
	type config struct {
		password secret.Text
		seed     secret.Bytes
	}
	c := config{secret.NewText(canary), secret.NewBytes([]byte(canary))}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{c, &c, []config{c}} {
			if s := fmt.Sprintf(format, v); strings.Contains(s, canary) || strings.Contains(s, fmt.Sprintf("%x", canary)) || strings.Contains(s, "99 97 110") {
				t.Errorf("%s shows %s", format, s)
			}
		}
	}
}

func TestTextAndBytesAreReadAndCompared(t *testing.T) {
	var c struct {
		Password secret.Text
		Seed     secret.Bytes
	}
	if err := json.Unmarshal([]byte(`{"Password":"`+canary+`","Seed":"Y2FuYXJ5"}`), &c); err != nil || c.Password.Reveal() != canary || string(c.Seed.Reveal()) != "canary" {
		t.Errorf("%q, %q, %v", c.Password.Reveal(), c.Seed.Reveal(), err)
	}
	for _, data := range []string{`{"Password":["` + canary + `"]}`, `{"Seed":"` + canary + `!"}`, `{"Seed":{"x":"` + canary + `"}}`} {
		if err := json.Unmarshal([]byte(data), &c); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", data, err)
		}
	}
	if err := c.Password.UnmarshalText([]byte("x")); err != nil || c.Password.Reveal() != "x" {
		t.Error(err)
	}
	source := []byte("y")
	if err := c.Seed.UnmarshalText(source); err != nil {
		t.Error(err)
	}
	source[0] = 'z'
	if string(c.Seed.Reveal()) != "y" {
		t.Error("UnmarshalText must keep a copy")
	}
	var zero secret.Text
	var none secret.Bytes
	if !zero.IsZero() || zero.Reveal() != "" || !none.IsZero() || none.Reveal() != nil || !secret.NewText("").IsZero() || secret.NewText("a").IsZero() {
		t.Error("zero values are empty")
	}
	if !secret.NewText("a").Equal(secret.NewText("a")) || secret.NewText("a").Equal(secret.NewText("b")) || secret.NewText("a").Equal(zero) {
		t.Error("texts are equal when their contents are")
	}
	if !secret.NewBytes([]byte("a")).Equal(secret.NewBytes([]byte("a"))) || secret.NewBytes([]byte("a")).Equal(none) {
		t.Error("bytes are equal when their contents are")
	}
}

func FuzzTextJSON(f *testing.F) {
	f.Add([]byte(`"a"`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"a":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var text secret.Text
		var want string
		if err := json.Unmarshal(data, &text); (err == nil) != (json.Unmarshal(data, &want) == nil) || err == nil && text.Reveal() != want {
			t.Fatalf("%q: %q, %v", data, text.Reveal(), err)
		}
	})
}
