package ungleich_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/web/compat/ungleich"
)

// row is one request of a table: what it is, how its body is made, what comes back.
type row struct {
	what   string
	body   func() body
	status int
	want   string
}

// rows sends each an hour after the one before: wrong ones are counted.
func (h *house) rows(method, path string, rows []row) {
	h.Helper()
	for _, r := range rows {
		h.Time.Advance(time.Hour)
		b := r.body()
		h.want(r.what, h.send(method, path, b), r.status, r.want)
		simple := true
		for _, v := range b {
			_, text := v.(string)
			simple = simple && text
		}
		if simple {
			h.Time.Advance(time.Hour)
			h.want(r.what+", as a form", h.Do(method, path, r.body().form(), formIs), r.status, r.want)
		}
	}
}

// spaced has a space in the middle: the original compares texts.
func spaced(s *service) string { return s.token()[:3] + " " + s.token()[3:] }

const required = `["This field is required."]`

// Every row about POST /ungleichotp/verify/, in the words of both ages.
func TestVerifyEntry(t *testing.T) {
	h := newHouse(t, nil)
	asker, sub, plain := h.service("asker", askers), h.service("sub", others), h.service("plain", others)
	root := h.service("info@ungleich.ch", admins)
	long, null := strings.Repeat("x", 129), any(nil)
	early := func(s *service, more ...any) func() body {
		return func() body {
			return s.early().and("verifyname", "sub", "verifyrealm", others, "verifytoken", sub.token()).and(more...)
		}
	}
	late := func(s *service, more ...any) func() body {
		return func() body { return s.late().and("name", "sub", "realm", others, "token", sub.token()).and(more...) }
	}
	h.rows("POST", "/ungleichotp/verify/", []row{
		{"C: good", early(asker), 200, ok},
		{"C: an administrator", early(root), 200, ok},
		{"D: good", late(asker), 200, ok},
		{"C: about itself", func() body {
			return asker.early().and("verifyname", "asker", "verifyrealm", askers, "verifytoken", asker.token())
		}, 200, ok},
		{"C: spaces around", func() body {
			return early(asker)().and("token", " "+asker.token()+"\n", "verifytoken", "\t"+sub.token()+"\x1c ")
		}, 200, ok},
		{"C: another realm", early(plain), 403, noRight},
		{"D: another realm", late(plain), 403, noRight},
		{"C: another realm, no subject", plain.early, 403, noRight},

		{"C: caller unknown", early(asker, "name", "nobody"), 403, wrong},
		{"C: caller's realm", early(asker, "realm", "nowhere"), 403, wrong},
		{"C: caller's token", early(asker, "token", asker.wrongToken()), 403, wrong},
		{"C: no name", early(asker, "name", nil), 403, wrong},
		{"C: no realm", early(asker, "realm", nil), 403, wrong},
		{"C: no token", early(asker, "token", nil), 403, wrong},
		{"C: a long name", early(asker, "name", long), 403, wrong},
		{"C: a list for a name", early(asker, "name", []string{"asker"}), 403, wrong},
		{"C: nothing", func() body { return body{} }, 403, wrong},
		{"D: only a part", early(asker, "auth_name", "asker"), 403, wrong},
		{"D: only a realm", early(asker, "auth_realm", askers), 403, wrong},
		{"D: only a token", func() body { return early(asker)().and("auth_token", asker.token()) }, 403, wrong},
		{"C: subject unknown", early(asker, "verifyname", "nobody"), 403, wrong},
		{"C: subject's realm", early(asker, "verifyrealm", "nowhere"), 403, wrong},
		{"C: subject can be nobody", early(asker, "verifyname", "a b", "verifyrealm", "x.y"), 403, wrong},
		{"C: subject's token", early(asker, "verifytoken", sub.wrongToken()), 403, wrong},
		{"D: subject's token", late(asker, "token", sub.wrongToken()), 403, wrong},
		{"C: a space within", func() body { return early(asker)().and("verifytoken", spaced(sub)) }, 403, wrong},
		{"C: a space within the own", func() body { return early(asker)().and("token", spaced(asker)) }, 403, wrong},
		{"C: letters", early(asker, "verifytoken", "abcdef"), 403, wrong},

		{"C: no subject", asker.early, 400, `{"verifyname":` + required + `,"verifyrealm":` + required + `,"verifytoken":` + required + `}`},
		{"D: no subject", asker.late, 400, `{"name":` + required + `,"realm":` + required + `,"token":` + required + `}`},
		{"C: blank", early(asker, "verifyname", "  "), 400, `{"verifyname":["This field may not be blank."]}`},
		{"C: null", early(asker, "verifyrealm", &null), 400, `{"verifyrealm":["This field may not be null."]}`},
		{"C: true", early(asker, "verifytoken", true), 400, `{"verifytoken":["Not a valid string."]}`},
		{"C: a list", early(asker, "verifytoken", []string{"1"}), 400, `{"verifytoken":["Not a valid string."]}`},
		{"C: a long one", early(asker, "verifyname", long), 400, `{"verifyname":["Ensure this field has no more than 128 characters."]}`},
		{"C: NUL", early(asker, "verifyname", "a\x00b"), 400, `{"verifyname":["Null characters are not allowed."]}`},
		{"C: 128 of others", early(asker, "verifyname", strings.Repeat("ü", 128)), 403, wrong},
	})
}

// A JSON number is its text, without the zeros that were in front.
func TestTokensAsNumbers(t *testing.T) {
	h := newHouse(t, nil)
	asker := h.service("asker", askers)
	h.service("7", others)
	for strings.HasPrefix(asker.token(), "0") {
		h.Time.Advance(30 * time.Second)
	}
	got := h.send("POST", "/ungleichotp/verify/", asker.early().and("token", json.Number(asker.token()), "verifyname", 7, "verifyrealm", others, "verifytoken", 1.5))
	h.want("numbers", got, 403, wrong) // the caller was taken, the subject's token is none
	got = h.send("POST", "/ungleichotp/verify/", asker.early().and("token", json.Number(asker.token())))
	if got.Status != 400 {
		t.Errorf("a number is no token: %d %s", got.Status, got.Body)
	}
	for !strings.HasPrefix(asker.token(), "0") {
		h.Time.Advance(30 * time.Second)
	}
	number := strings.TrimLeft(asker.token(), "0")
	h.want("a zero was lost", h.send("POST", "/ungleichotp/verify/", asker.early().and("token", json.Number(number))), 403, wrong)
}

// Windows: three steps on either side, for callers and for subjects of any realm.
func TestWindows(t *testing.T) {
	h := newHouse(t, nil)
	asker, sub := h.service("asker", askers), h.service("sub", others)
	at := func(s *service, off time.Duration) string {
		h.Time.Advance(off)
		defer h.Time.Advance(-off)
		return s.token()
	}
	for _, c := range []struct {
		off time.Duration
		ok  bool
	}{{-120 * time.Second, false}, {-90 * time.Second, true}, {0, true}, {90 * time.Second, true}, {120 * time.Second, false}} {
		for what, b := range map[string]body{
			"caller":  asker.early().and("token", at(asker, c.off), "verifyname", "sub", "verifyrealm", others, "verifytoken", sub.token()),
			"subject": asker.early().and("verifyname", "sub", "verifyrealm", others, "verifytoken", at(sub, c.off)),
		} {
			if got := h.send("POST", "/ungleichotp/verify/", b); (got.Status == 200) != c.ok {
				t.Errorf("%s, %s off: %d %s", what, c.off, got.Status, got.Body)
			}
		}
	}
}

// Every row about the entries, in age C: nothing can be created, and nobody but the
// caller itself be renamed to the caller's name.
func TestEntriesOfAgeC(t *testing.T) {
	h := newHouse(t, nil)
	root, asker, sub := h.service("root", admins), h.service("asker", askers), h.service("sub", others)
	all := fmt.Sprintf("[%s,%s,%s]", h.entryJSON(root, ""), h.entryJSON(asker, ""), h.entryJSON(sub, ""))
	h.want("list", h.send("GET", "/ungleichotp/", root.early()), 200, all)
	h.want("list by a form", h.Do("GET", "/ungleichotp/", root.early().form(), formIs), 200, all)
	if got := h.send("HEAD", "/ungleichotp/", root.early()); got.Status != 200 || got.Body != "" {
		t.Errorf("HEAD: %d %q", got.Status, got.Body)
	}
	h.want("create", h.send("POST", "/ungleichotp/", root.early()), 400, unique)
	h.want("show", h.send("GET", sub.entry(), root.early()), 200, h.entryJSON(sub, ""))
	h.want("rename", h.send("PUT", sub.entry(), root.early()), 400, unique)
	h.want("rename a part", h.send("PATCH", sub.entry(), root.early()), 400, unique)
	h.want("the own entry", h.send("PUT", root.entry(), root.early()), 200, h.entryJSON(root, ""))
	h.want("the own entry in part", h.send("PATCH", root.entry(), root.early()), 200, h.entryJSON(root, ""))
	for _, id := range []string{"999", "0", "abc", "-1", "1e3", "99999999999999999999999"} {
		for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
			h.want(method+" "+id, h.send(method, "/ungleichotp/"+id+"/", root.early()), 404, `{"detail":"Not found."}`)
		}
	}
	for _, s := range []*service{asker, sub} {
		for _, method := range []string{"GET", "POST"} {
			h.want(method+" by "+s.realm, h.send(method, "/ungleichotp/", s.early()), 403, noRight)
		}
		for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
			h.want(method+" one by "+s.realm, h.send(method, sub.entry(), s.early()), 403, noRight)
			h.want(method+" none by "+s.realm, h.send(method, "/ungleichotp/999/", s.early()), 403, noRight)
		}
	}
	h.want("list without", h.Do("GET", "/ungleichotp/", ""), 403, wrong)
	h.want("list with an empty object", h.send("GET", "/ungleichotp/", body{}), 403, wrong)
	h.want("show without", h.Do("GET", sub.entry(), ""), 403, wrong)
	got := h.send("DELETE", sub.entry(), root.early())
	h.want("delete", got, 204, "")
	if got.Header.Get("Content-Type") != "" {
		t.Errorf("a body that is none has the type %q", got.Header.Get("Content-Type"))
	}
	h.want("it is gone", h.send("GET", sub.entry(), root.early()), 404, `{"detail":"Not found."}`)
}

var base32 = regexp.MustCompile(`^[A-Z2-7]{32}$`)

// Every row about the entries, in age D: create, list, rename, delete.
func TestEntriesOfAgeD(t *testing.T) {
	h := newHouse(t, nil)
	root := h.service("root", admins)
	got := h.send("POST", "/ungleichotp/", root.late().and("name", "Bot@ungleich.ch", "realm", "team", "seed", "ABC"))
	var made struct{ Name, Realm, Seed string }
	h.Must(json.Unmarshal([]byte(got.Body), &made))
	if got.Status != 201 || made.Name != "Bot@ungleich.ch" || made.Realm != "team" || !base32.MatchString(made.Seed) {
		t.Fatalf("create: %d %s", got.Status, got.Body)
	}
	bot := &service{h: h, name: made.Name, realm: made.Realm, seed: made.Seed, number: root.number + 1}
	h.want("its seed works", h.send("POST", "/ungleichotp/verify/", root.late().and("name", bot.name, "realm", bot.realm, "token", bot.token())), 200, ok)
	h.want("its seed is shown once", h.send("GET", bot.entry(), root.late()), 200, h.entryJSON(bot, ""))
	h.want("once more", h.send("POST", "/ungleichotp/", root.late().and("name", bot.name, "realm", bot.realm)), 400, unique)
	h.want("list", h.Do("GET", "/ungleichotp/", root.late().form(), formIs), 200, fmt.Sprintf("[%s,%s]", h.entryJSON(root, ""), h.entryJSON(bot, "")))

	for _, b := range []struct {
		what string
		body body
		want string
	}{
		{"nothing", body{}, `{"name":` + required + `,"realm":` + required + `}`},
		{"no name", body{"realm": "team"}, `{"name":` + required + `}`},
		{"blank", body{"name": "", "realm": " "}, `{"name":["This field may not be blank."],"realm":["This field may not be blank."]}`},
		{"long", body{"name": strings.Repeat("n", 129), "realm": "team"}, `{"name":["Ensure this field has no more than 128 characters."]}`},
	} {
		for _, to := range []string{"POST /ungleichotp/", "PUT " + bot.entry()} {
			method, path, _ := strings.Cut(to, " ")
			h.want(to+" "+b.what, h.send(method, path, root.late().and("name", b.body["name"], "realm", b.body["realm"])), 400, b.want)
		}
	}
	for _, realm := range []string{"a.b", "a b", strings.Repeat("r", 65)} {
		if got := h.send("POST", "/ungleichotp/", root.late().and("name", "x", "realm", realm)); got.Status != 400 || !strings.HasPrefix(got.Body, `{"realm":[`) {
			t.Errorf("the realm %q: %d %s", realm, got.Status, got.Body)
		}
	}
	if got := h.send("POST", "/ungleichotp/", root.late().and("name", strings.Repeat("ü", 100), "realm", "team")); got.Status != 400 || !strings.HasPrefix(got.Body, `{"name":[`) {
		t.Errorf("a name of 200 bytes: %d %s", got.Status, got.Body)
	}

	bot.name, bot.realm = "walter", "crew"
	h.want("PUT", h.send("PUT", bot.entry(), root.late().and("name", "walter", "realm", "crew")), 200, h.entryJSON(bot, ""))
	bot.name = "Walter"
	h.want("PATCH", h.send("PATCH", bot.entry(), root.late().and("name", "Walter")), 200, h.entryJSON(bot, ""))
	h.want("PATCH of nothing", h.send("PATCH", bot.entry(), root.late()), 200, h.entryJSON(bot, ""))
	h.want("PATCH to what is there", h.send("PATCH", bot.entry(), root.late().and("name", "root", "realm", admins)), 400, unique)
	h.want("the seed stayed", h.send("POST", "/ungleichotp/verify/", root.late().and("name", "Walter", "realm", "crew", "token", bot.token())), 200, ok)
	h.want("delete", h.send("DELETE", bot.entry(), root.late()), 204, "")
	h.want("nobody now", h.send("POST", "/ungleichotp/verify/", root.late().and("name", "Walter", "realm", "crew", "token", bot.token())), 403, wrong)
}

// With show_seeds entries have them, as in the original.
func TestShowSeeds(t *testing.T) {
	h := newHouse(t, func(o *ungleich.Options) { o.ShowSeeds = true })
	root, sub := h.service("root", admins), h.service("sub", others)
	h.want("list", h.send("GET", "/ungleichotp/", root.early()), 200, fmt.Sprintf("[%s,%s]", h.entryJSON(root, root.seed), h.entryJSON(sub, sub.seed)))
	h.want("show", h.send("GET", sub.entry(), root.late()), 200, h.entryJSON(sub, sub.seed))
	h.want("rename", h.send("PATCH", sub.entry(), root.late()), 200, h.entryJSON(sub, sub.seed))
}
