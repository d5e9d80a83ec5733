package principal_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/sallyport-auth/sallyport/internal/principal"
)

func TestIDTravelsAsText(t *testing.T) {
	id := principal.NewID()
	if id.IsZero() || id == principal.NewID() {
		t.Fatal("a new id is neither zero nor one that was there before")
	}
	if id[6]>>4 != 4 || id[8]>>6 != 2 {
		t.Errorf("%s is not a UUID of version 4", id)
	}
	for _, text := range []string{id.String(), strings.ToUpper(id.String())} {
		if back, err := principal.ParseID(text); err != nil || back != id {
			t.Errorf("ParseID(%q) = %v, %v", text, back, err)
		}
	}
	type record struct{ Owner, None principal.ID }
	data, err := json.Marshal(record{Owner: id})
	if err != nil {
		t.Fatal(err)
	}
	var back record
	if err := json.Unmarshal(data, &back); err != nil || back.Owner != id || !back.None.IsZero() {
		t.Errorf("%s came back as %+v, %v", data, back, err)
	}
}

func TestParseIDRefusesEveryOtherForm(t *testing.T) {
	s := principal.NewID().String()
	for _, text := range []string{
		"", "alice", s[:35], s + "0", "{" + s + "}", "urn:uuid:" + s, strings.ReplaceAll(s, "-", ""),
		strings.Replace(s, "-", "_", 1), "g" + s[1:], " " + s[1:], "00000000-0000-0000-0000-000000000000",
	} {
		if id, err := principal.ParseID(text); !errors.Is(err, principal.ErrName) || !id.IsZero() {
			t.Errorf("ParseID(%q) = %v, %v", text, id, err)
		}
	}
}

func TestKindIsUserOrService(t *testing.T) {
	for kind, word := range map[principal.Kind]string{principal.User: "user", principal.Service: "service"} {
		text, err := kind.MarshalText()
		var back principal.Kind
		if err != nil || string(text) != word || back.UnmarshalText(text) != nil || back != kind {
			t.Errorf("%v is written %q, %v and read as %v", kind, text, err, back)
		}
	}
	var zero principal.Kind
	if _, err := zero.MarshalText(); err == nil || zero.String() != "invalid" {
		t.Error("the zero kind must not be written as one of the two")
	}
	for _, word := range []string{"", "User", "admin", "user "} {
		if err := zero.UnmarshalText([]byte(word)); !errors.Is(err, principal.ErrName) || zero != 0 {
			t.Errorf("%q was read as a kind: %v", word, err)
		}
	}
}

func TestParseRefSplitsAtTheLastAt(t *testing.T) {
	for text, want := range map[string]principal.Ref{
		"alice":         {Name: "alice", Realm: "users"},
		"Alice@STAFF":   {Name: "alice", Realm: "staff"},
		"deploy@robots": {Name: "deploy", Realm: "robots"},
	} {
		got, err := principal.ParseRef(text, "users")
		if err != nil || got != want || got.IsZero() {
			t.Errorf("ParseRef(%q) = %v, %v", text, got, err)
		}
		if again, err := principal.ParseRef(got.String(), "other"); err != nil || again != got {
			t.Errorf("%s came back as %v, %v", got, again, err)
		}
	}
	for _, text := range []string{"", "@", "alice@", "@staff", "a@b@staff", "alice@example.com", "alice@st aff", "alice@a/b"} {
		if ref, err := principal.ParseRef(text, "users"); !errors.Is(err, principal.ErrName) || !ref.IsZero() {
			t.Errorf("ParseRef(%q) = %v, %v", text, ref, err)
		}
	}
	if _, err := principal.ParseRef("alice", ""); !errors.Is(err, principal.ErrName) {
		t.Errorf("a bare name without a default realm is nobody: %v", err)
	}
}

// Somebody registers a spelling that looks like another person's name, or that
// one door folds and the next does not, and is that person there.
func TestSpellingsOfOneNameAreOneName(t *testing.T) {
	for spelling, want := range map[string]string{
		"Alice": "alice", "ＡＬＩＣＥ": "alice", "ÅSA": "åsa", "A\u030aSA": "åsa", "ΣΊΣΥΦΟΣ": "σίσυφοσ",
		"o'brien": "o'brien", "a.b-c_d+e": "a.b-c_d+e", strings.Repeat("ａ", 128): strings.Repeat("a", 128),
	} {
		got, err := principal.CanonicalName(spelling)
		if err != nil {
			t.Errorf("CanonicalName(%q): %v", spelling, err)
			continue
		}
		if again, err := principal.CanonicalName(got); err != nil || again != got {
			t.Errorf("%q is not stable: %q, %v", got, again, err)
		}
		if spelling != "ΣΊΣΥΦΟΣ" && got != want { // the final sigma may be either, but only one
			t.Errorf("CanonicalName(%q) = %q, want %q", spelling, got, want)
		}
	}
}

// Names travel in comma lists, name@realm, paths and headers: a separator in a
// name would make two of one, or move it to another realm.
func TestNamesHoldNoSeparators(t *testing.T) {
	bad := []string{
		"", " ", "a b", "a,b", "a@b", "a/b", "a\x00b", "a\nb", "a\r\nX: y", "a\tb", "a\x7f", "a\u0085b", "a\u00a0b", "a\u2028b",
		"a，b", "a＠b", "a／b", ".", "..", "．．", "a\u200bb", "a\u202eb", "\xff\xfe", strings.Repeat("a", 129), strings.Repeat("é", 65), strings.Repeat("ａ", 200),
	}
	for _, s := range bad {
		for what, canonical := range map[string]func(string) (string, error){
			"name": principal.CanonicalName, "realm": principal.CanonicalRealm, "group": principal.CanonicalGroup,
		} {
			if what == "group" && s == "a b" {
				continue
			}
			got, err := canonical(s)
			if !errors.Is(err, principal.ErrName) || got != "" {
				t.Errorf("%s %+q was accepted as %q, %v", what, s, got, err)
				continue
			}
			checkSentence(t, err)
		}
	}
}

func checkSentence(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if len(text) > 400 || strings.IndexFunc(text, unicode.IsControl) >= 0 {
		t.Errorf("an error for people must be short and printable: %q", text)
	}
}

func TestRealms(t *testing.T) {
	if got, err := principal.CanonicalRealm("Staff-2"); err != nil || got != "staff-2" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, s := range []string{"example.com", ".a", "a．b", strings.Repeat("r", 65)} {
		if got, err := principal.CanonicalRealm(s); !errors.Is(err, principal.ErrName) || got != "" {
			t.Errorf("realm %q was accepted as %q", s, got)
		}
	}
}

func TestGroupsKeepTheirCaseAndInnerSpaces(t *testing.T) {
	for s, want := range map[string]string{"Ops": "Ops", "Domain Admins": "Domain Admins", "A\u030a": "Å"} {
		if got, err := principal.CanonicalGroup(s); err != nil || got != want {
			t.Errorf("CanonicalGroup(%q) = %q, %v", s, got, err)
		}
	}
	for _, s := range []string{" ops", "ops ", "a  b", "a,b", "a b/c", strings.Repeat("a ", 70) + "a", strings.Repeat("a ", 400)} {
		if got, err := principal.CanonicalGroup(s); !errors.Is(err, principal.ErrName) || got != "" {
			t.Errorf("group %q was accepted as %q", s, got)
		}
	}
}

func TestAddresses(t *testing.T) {
	for s, want := range map[string]string{
		"Alice@Example.COM":            "alice@example.com",
		"o'brien+tag@mail.example":     "o'brien+tag@mail.example",
		"a@localhost":                  "a@localhost",
		"a@BÜCHER.example":             "a@xn--bcher-kva.example",
		"ａ@ｅｘａｍｐｌｅ.com":                "a@example.com",
		"x@" + strings.Repeat("a", 63): "x@" + strings.Repeat("a", 63),
	} {
		got, err := principal.CanonicalAddress(s)
		if err != nil || got != want {
			t.Errorf("CanonicalAddress(%q) = %q, %v", s, got, err)
			continue
		}
		if again, err := principal.CanonicalAddress(got); err != nil || again != got {
			t.Errorf("%q is not stable: %q, %v", got, again, err)
		}
	}
}

// TestR10AddressesHaveOneReading: a mail program, a database and a gateway read
// `"a@evil.example"@good.example` differently, and a reset mail goes to the
// attacker. Only addresses with one reading pass.
func TestR10AddressesHaveOneReading(t *testing.T) {
	for _, s := range []string{
		"", "@", "a", "a@", "@b", "a@b@c", `"a@evil.example"@good.example`, `"a"@b.example`, "a b@c.example", "Alice <a@b.example>",
		"a@b.example,c@d.example", "a@b.example\nBcc: c@d.example", "a\r\n@b.example", "a@b.example\x00", "a@[127.0.0.1]", "a@b.example.", "a@.example",
		"a@b..example", "a@-b.example", "a@b_c.example", "a@b example", ".a@b.example", "a.@b.example", "a..b@c.example", "a;b@c.example",
		"a(x)@b.example", "a@b.example(x)", "a@b/c", "a＠b@c.example", "a@b＠c", strings.Repeat("a", 65) + "@b.example", "a@" + strings.Repeat("b", 64),
		"a@" + strings.Repeat("bbbbbbb.", 40) + "example", strings.Repeat("a", 1<<20) + "@b.example", "a@xn--\u00e9.example",
	} {
		got, err := principal.CanonicalAddress(s)
		if !errors.Is(err, principal.ErrName) || got != "" {
			t.Errorf("address %.60q was accepted as %q", s, got)
			continue
		}
		checkSentence(t, err)
	}
}

func fuzzStable(f *testing.F, canonical func(string) (string, error), limit int) {
	for _, s := range []string{
		"alice", "ＡＬＩＣＥ", "A\u030aSA", "ΣΊΣΥΦΟΣ", "İstanbul", "ſ", "ﬁ", "a\u0345", "ʹ", "क़", "ǰ", "ᾳ", "·l·l", "a@b.example", "x@bücher.example", "\xff", "a,b", "שלום", "a\u200db", "ﾊﾟ", "Domain Admins",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := canonical(s)
		if err != nil {
			if once != "" || !errors.Is(err, principal.ErrName) {
				t.Fatalf("%q, %v", once, err)
			}
			checkSentence(t, err)
			return
		}
		if twice, err := canonical(once); err != nil || twice != once {
			t.Fatalf("%+q became %+q and then %+q, %v", s, once, twice, err)
		}
		if once == "" || len(once) > limit || strings.ContainsAny(once, ",/\x00\r\n\t") {
			t.Fatalf("%+q became %+q", s, once)
		}
	})
}

func FuzzCanonicalName(f *testing.F)    { fuzzStable(f, principal.CanonicalName, 128) }
func FuzzCanonicalRealm(f *testing.F)   { fuzzStable(f, principal.CanonicalRealm, 64) }
func FuzzCanonicalGroup(f *testing.F)   { fuzzStable(f, principal.CanonicalGroup, 128) }
func FuzzCanonicalAddress(f *testing.F) { fuzzStable(f, principal.CanonicalAddress, 254) }

func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"alice", "alice@staff", "a@b@c", "@", "Ａ@Ｂ", "a＠b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := principal.ParseRef(s, "users")
		if err != nil {
			return
		}
		if strings.Count(ref.String(), "@") != 1 {
			t.Fatalf("%+q became %q", s, ref)
		}
		if again, err := principal.ParseRef(ref.String(), "other"); err != nil || again != ref {
			t.Fatalf("%+q became %q and then %q, %v", s, ref, again, err)
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add("6ba7b810-9dad-41d1-80b4-00c04fd430c8")
	f.Add("{6ba7b810-9dad-41d1-80b4-00c04fd430c}")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := principal.ParseID(s); err == nil && !strings.EqualFold(id.String(), s) {
			t.Fatalf("%q was read as %s", s, id)
		}
	})
}

// A name that a path cleans away, or shortens, names somebody else on the way.
func TestInPath(t *testing.T) {
	for _, name := range []string{"", ".", "..", "/", "a//b", "/a", "a/", "x/../y", "../x", "./a", "a/."} {
		if principal.InPath(name) {
			t.Errorf("%q stands in no path", name)
		}
	}
	for _, name := range []string{"alice", "a/b", "two words", "...", ".a", "a..b", "%2F", "é"} {
		if !principal.InPath(name) {
			t.Errorf("%q can stand in a path", name)
		}
	}
}
