package drf_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/web/compat/drf"
	"github.com/sallyport-auth/sallyport/internal/web/compat/pyjson"
)

func parser(strict bool) drf.Parser {
	return drf.Parser{Strict: strict, Boundary: 200, JSON: pyjson.Reader{Depth: 2}.Decode}
}

const multi = "multipart/form-data; boundary=b"

func part(disposition, text string) string {
	return "--b\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + text + "\r\n"
}

func TestBodiesAreReadAsTheirTypeSays(t *testing.T) {
	for _, c := range []struct {
		contentType, body string
		value             any
		form              bool
	}{
		{"text/plain", "", map[string]any{}, false},
		{"application/JSON; charset=utf-8", `[1]`, []any{pyjson.Int("1")}, false},
		{drf.TypeForm, "a=1&a=%zz+%c3%a9&&b=%ff&c", map[string]any{"a": "%zz é", "b": "\ufffd", "c": ""}, true},
		{multi, part("name=a", "1") + part("name=b; filename=f", "2") + part("x=y", "3") + part("name=c", "\xff") + "--b--",
			map[string]any{"a": "1", "b": drf.File{}, "c": "\ufffd"}, true},
	} {
		value, form, refused := parser(true).Parse(c.contentType, []byte(c.body))
		if refused != nil || form != c.form || !reflect.DeepEqual(value, c.value) {
			t.Errorf("%s %q: %#v %v %v", c.contentType, c.body, value, form, refused)
		}
	}
	for _, c := range []struct {
		contentType, body string
		want              drf.Refusal
	}{
		{"text/plain", "x", drf.Refusal{Status: 415, Text: `Unsupported media type "text/plain" in request.`}},
		{"", "{}", drf.Refusal{Status: 415, Text: `Unsupported media type "" in request.`}},
		{drf.TypeJSON, "{", drf.Refusal{Status: 400, Text: "JSON parse error - Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"}},
		{drf.TypeMultipart, "x", drf.Refusal{Status: 400, Text: "Multipart form parse error - Invalid boundary in multipart: None"}},
		{multi + strings.Repeat("b", 200), "x", drf.Refusal{Status: 400, Text: "Multipart form parse error - Invalid boundary in multipart: None"}},
	} {
		if _, _, refused := parser(false).Parse(c.contentType, []byte(c.body)); refused == nil || *refused != c.want {
			t.Errorf("%s %q: %v", c.contentType, c.body, refused)
		}
	}
}

// What is broken or too long is refused, or counts as far as it was read.
func TestStrict(t *testing.T) {
	for name, c := range map[string]struct{ contentType, body, refused string }{
		"fields": {drf.TypeForm, strings.Repeat("a=1&", 1000) + "a=2", "The form has too many fields."},
		"parts":  {multi, strings.Repeat(part("name=a", "1"), 1000) + part("name=a", "2") + "--b--", "Multipart form parse error - The form cannot be read."},
		"end":    {multi, part("name=a", "1") + part("name=b", "2"), "Multipart form parse error - The form cannot be read."},
		"type":   {drf.TypeForm + "; x=1; x=2", "a=1", `Unsupported media type "application/x-www-form-urlencoded; x=1; x=2" in request.`},
	} {
		if _, _, refused := parser(true).Parse(c.contentType, []byte(c.body)); refused == nil || refused.Text != c.refused {
			t.Errorf("%s: %v", name, refused)
		}
		value, _, refused := parser(false).Parse(c.contentType, []byte(c.body))
		if refused != nil || !reflect.DeepEqual(value, map[string]any{"a": "1"}) {
			t.Errorf("%s: %v %v", name, value, refused)
		}
	}
}

func TestReadBody(t *testing.T) {
	for _, c := range []struct {
		size, status int
	}{{0, 0}, {64 << 10, 0}, {64<<10 + 1, http.StatusRequestEntityTooLarge}} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", c.size)))
		body, refused := drf.ReadBody(httptest.NewRecorder(), r)
		if c.status == 0 && (refused != nil || len(body) != c.size) || c.status != 0 && (refused == nil || refused.Status != c.status) {
			t.Errorf("%d bytes: %d, %v", c.size, len(body), refused)
		}
	}
	_, refused := drf.ReadBody(httptest.NewRecorder(), httptest.NewRequest("POST", "/", broken{}))
	if refused == nil || refused.Status != 400 || refused.Text != "The body did not arrive whole." {
		t.Errorf("a broken body: %v", refused)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("gone") }

func TestText(t *testing.T) {
	for _, c := range []struct {
		value       any
		there       bool
		text, wrong string
	}{
		{" a b\u2003", true, "a b", ""}, {pyjson.Int("012"), true, "012", ""}, {1.5, true, "1.5", ""}, {math.Inf(1), true, "inf", ""},
		{nil, false, "", drf.Required}, {nil, true, "", drf.Null}, {" \x1f", true, "", drf.Blank},
		{true, true, "", drf.NotText}, {[]any{}, true, "", drf.NotText}, {map[string]any{}, true, "", drf.NotText}, {drf.File{}, true, "", drf.NotText},
	} {
		if text, wrong := drf.Text(c.value, c.there); text != c.text || wrong != c.wrong {
			t.Errorf("%#v: %q %q", c.value, text, wrong)
		}
	}
}

func TestAnswers(t *testing.T) {
	for wait, want := range map[time.Duration]string{1: "1 second", time.Second: "1 second", time.Second + 1: "2 seconds", 0: "0 seconds"} {
		if got := drf.Throttled(wait); got != "Request was throttled. Expected available in "+want+"." {
			t.Errorf("%v: %s", wait, got)
		}
	}
	if got := drf.Slashed("/a%2Fb", "c=d") + " " + drf.Slashed("/a", ""); got != "/a%2Fb/?c=d /a/" {
		t.Error(got)
	}
	for _, c := range []struct {
		body       any
		text, kind string
	}{
		{drf.Detail{Detail: drf.MethodNotAllowed("GET")}, `{"detail":"Method \"GET\" not allowed."}`, "[application/json]"},
		{drf.FieldErrors{{Field: "b", Texts: []string{"<1>", `"2"`}}, {Field: "a", Texts: []string{"3"}}}, `{"b":["<1>","\"2\""],"a":["3"]}`, "[application/json]"},
		{drf.FieldErrors{}, `{}`, "[application/json]"},
		{nil, "", "[]"},
	} {
		w := httptest.NewRecorder()
		drf.Write(w, 400, c.body)
		if w.Code != 400 || w.Body.String() != c.text || fmt.Sprint(w.Header()["Content-Type"]) != c.kind {
			t.Errorf("%v: %d %v %s", c.body, w.Code, w.Header(), w.Body)
		}
		if c.body != nil && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%v is no JSON", c.body)
		}
	}
	w := httptest.NewRecorder()
	drf.WritePage(w, 404, drf.NotFoundPage)
	if w.Code != 404 || w.Header().Get("Content-Type") != "text/html" || !strings.HasPrefix(w.Body.String(), "\n<!doctype html>") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
