package api

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

type sampleBody struct {
	Name  string   `json:"name"`
	Limit *int     `json:"limit,omitempty"`
	Tags  []string `json:"tags,omitempty"`
	Inner *struct {
		Deep string `json:"deep"`
	} `json:"inner,omitempty"`
	List []struct {
		Deep string `json:"deep"`
	} `json:"list,omitempty"`
	Hidden string `json:"-"`
}

// A body that two readers understand differently is a way past whichever of
// them decides: encoding/json takes the last of two equal fields, and takes
// "NAME" for "name".
func TestBodyHasOneReading(t *testing.T) {
	shape := reflect.TypeFor[sampleBody]()
	for _, c := range []struct {
		body string
		want error
	}{
		{`{}`, nil},
		{` {"name":"a","limit":1,"tags":["x"],"inner":{"deep":"d"},"list":[{"deep":"d"},{"deep":"e"}]} `, nil},
		{`{"name":"a","name":"b"}`, errBodyDuplicate},
		{`{"name":"a","\u006eame":"b"}`, errBodyDuplicate},
		{`{"inner":{"deep":"a","deep":"b"}}`, errBodyDuplicate},
		{`{"list":[{"deep":"a"},{"deep":"a","deep":"b"}]}`, errBodyDuplicate},
		{`{"Name":"a"}`, errBodyUnknown},
		{`{"NAME":"a","name":"b"}`, errBodyUnknown},
		{`{"nam\u0065 ":"a"}`, errBodyUnknown},
		{`{"Hidden":"a"}`, errBodyUnknown},
		{`{"-":"a"}`, errBodyUnknown},
		{`{"":"a"}`, errBodyUnknown},
		{`{"inner":{"name":"a"}}`, errBodyUnknown},
		{`{"name":{"a":1}}`, errBodyUnknown},
		{`{"list":[{"Deep":"a"}]}`, errBodyUnknown},
		{`{"name":"a"} {"name":"b"}`, errBodyTrailing},
		{`{"name":"a"}x`, errBodyTrailing},
		{`{"name":"a"}]`, errBodyTrailing},
		{`{"name":null}`, errBodyNull},
		{`{"tags":[null]}`, errBodyNull},
		{`{"tags":null}`, nil},
		{`[]`, errBodyNotObject},
		{`null`, errBodyNotObject},
		{`"name"`, errBodyNotObject},
		{``, errBodySyntax},
		{`{`, errBodySyntax},
		{`{"name"}`, errBodySyntax},
		{`{'name':'a'}`, errBodySyntax},
		{"{\"name\":\"\xff\"}", errBodySyntax},
		{"\xef\xbb\xbf{}", errBodySyntax},
		{`{"tags":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, errBodyDepth},
	} {
		if err := checkBody([]byte(c.body), shape); !errors.Is(err, c.want) {
			t.Errorf("checkBody(%.60q) = %v, want %v", c.body, err, c.want)
		}
	}
}

// Whatever passes must decode, and encoding it again must pass again; nothing
// may panic.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"name":"a"}`, `{"name":"a","name":"b"}`, `{"NAME":1}`, `{"list":[{"deep":"x"}]}`,
		`{"tags":[[[[]]]]}`, `{"name":"a"}{}`, `nul`, "{\"n\u0061me\":\"\\ud800\"}", `{"limit":1e999}`,
	} {
		f.Add([]byte(seed))
	}
	shape := reflect.TypeFor[sampleBody]()
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkBody(body, shape) != nil {
			return
		}
		var seen map[string]json.RawMessage
		if err := json.Unmarshal(body, &seen); err != nil {
			t.Fatalf("accepted, but does not decode: %v", err)
		}
		known := fieldsOf(shape)
		for name := range seen {
			if _, ok := known[name]; !ok {
				t.Fatalf("accepted the unknown field %q", name)
			}
		}
		again, err := json.Marshal(seen)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkBody(again, shape); err != nil {
			t.Fatalf("accepted %q, refused its own form %q: %v", body, again, err)
		}
	})
}
