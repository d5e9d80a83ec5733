package store_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

type person struct {
	store.Meta
	Name   string            `json:"name"`
	Seed   []byte            `json:"seed,omitempty"`
	Limit  int               `json:"limit,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
}

type personV3 struct {
	store.Meta
	Name string `json:"name"`
}

func (personV3) SchemaVersion() int { return 3 }

func TestRecordRoundTrip(t *testing.T) {
	s := storetest.Open(t, nil)
	key := store.K(store.PrefixAccount, "alice")
	in := &person{Name: "alice", Seed: []byte{1}, Labels: map[string]string{"a": "b"}}
	if err := s.Update(t.Context(), func(tx store.Tx) error { return store.Save(tx, key, in, time.Time{}) }); err != nil {
		t.Fatal(err)
	}
	err := s.View(t.Context(), func(tx store.Tx) error {
		out, err := store.Load[person](tx, key)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(in, out) || out.Schema != 1 {
			t.Errorf("%+v, want %+v", out, in)
		}
		_, err = store.Load[person](tx, store.K(store.PrefixAccount, "bob"))
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("missing record: %v", err)
	}
}

// A newer version of the program wrote a record; the older one, brought back after
// a bad upgrade, changes it. Before: the newer one's fields were gone, an "locked"
// among them.
func TestUnknownFieldsSurvive(t *testing.T) {
	newer := `{"v":7,"name":"alice","locked":true,"nested":{"a":[1,"}",{"b":"\"]"}]},"big":12345678901234567890, "quoted \"k\"" : "x,y:{" ,"null":null}`
	rec, err := store.Decode[person]([]byte(newer))
	if err != nil {
		t.Fatal(err)
	}
	rec.Name = "alice2"
	rec.Limit = 5
	out, err := store.Encode(rec)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"v":7,"name":"alice2","limit":5,"locked":true,"nested":{"a":[1,"}",{"b":"\"]"}]},"big":12345678901234567890,"quoted \"k\"":"x,y:{","null":null}`
	if string(out) != want {
		t.Errorf("got  %s\nwant %s", out, want)
	}
	again, err := store.Decode[person](out)
	if err != nil {
		t.Fatal(err)
	}
	if twice, err := store.Encode(again); err != nil || string(twice) != want {
		t.Errorf("second rewrite: %s, %v", twice, err)
	}
}

func TestSchemaVersions(t *testing.T) {
	rec, err := store.Decode[personV3]([]byte(`{"v":1,"name":"a"}`))
	if err != nil || rec.Schema != 1 {
		t.Fatalf("%+v, %v", rec, err)
	}
	if out, err := store.Encode(rec); err != nil || string(out) != `{"v":3,"name":"a"}` {
		t.Errorf("%s, %v", out, err)
	}
	newer, err := store.Decode[personV3]([]byte(`{"v":9,"name":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := store.Encode(newer); err != nil || string(out) != `{"v":9,"name":"a"}` {
		t.Errorf("%s, %v", out, err)
	}
}

// Known names are known in any case, because encoding/json takes them so: a field
// must not be both read and kept.
func TestKnownFieldsInAnyCase(t *testing.T) {
	rec, err := store.Decode[person]([]byte(`{"v":1,"NAME":"a","n\u0061me":"b"}`))
	if err != nil || rec.Name != "b" {
		t.Fatalf("%+v, %v", rec, err)
	}
	if out, err := store.Encode(rec); err != nil || string(out) != `{"v":1,"name":"b"}` {
		t.Errorf("%s, %v", out, err)
	}
}

// Error texts go to logs: they must not quote what a record holds.
func TestDecodeErrorsHoldNoValues(t *testing.T) {
	for _, value := range []string{
		``, `null`, `[]`, `"geheim"`, `{"name":{"geheim":1}}`, `{"limit":"geheim"}`, `{"seed":"geheim!"}`, `{"name":"geheim"`, `{geheim}`, `{"v":1} geheim`,
	} {
		rec, err := store.Decode[person]([]byte(value))
		if err == nil {
			t.Errorf("%s decodes as %+v", value, rec)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func TestRecordWithoutMetaPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("taken")
		}
	}()
	_, _ = store.Decode[struct{ Name string }]([]byte(`{}`))
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"v":1,"name":"a"}`, `{"x":[{"y":"\\\""}], "name" : "b" }`, `{}`, `{"":1}`, `{"a":-1.5e3,"b":true}`, `null`, "{\"\xff\":0}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		rec, err := store.Decode[person](value)
		if err != nil {
			return
		}
		out, err := store.Encode(rec)
		if err != nil || !json.Valid(out) {
			t.Fatalf("%q → %q, %v", value, out, err)
		}
		again, err := store.Decode[person](out)
		if err != nil {
			t.Fatalf("%q → %q: %v", value, out, err)
		}
		if twice, err := store.Encode(again); err != nil || string(twice) != string(out) {
			t.Fatalf("%q → %q → %q, %v", value, out, twice, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	value := []byte(`{"v":1,"name":"alice","seed":"AAECAwQFBgcICQ==","limit":5,"labels":{"a":"b"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := store.Decode[person](value); err != nil {
			b.Fatal(err)
		}
	}
}
