package portal_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/sallyport-auth/sallyport/internal/web/portal"
)

// Every text that a page or a handler asks for exists, and none is left over.
func TestTextsAreAllThereAndAllUsed(t *testing.T) {
	used := map[string]bool{}
	key := regexp.MustCompile(`"([a-z]+\.[a-z0-9-]+)"`)
	files, err := filepath.Glob("*.go")
	must(t, err)
	pages, err := filepath.Glob("templates/*.html")
	must(t, err)
	for _, name := range append(files, pages...) {
		if strings.HasSuffix(name, "_test.go") || name == "texts.go" {
			continue
		}
		body, err := os.ReadFile(name)
		must(t, err)
		for _, m := range key.FindAllStringSubmatch(string(body), -1) {
			used[m[1]] = true
		}
	}
	texts := portal.TextsForTest()
	for _, m := range regexp.MustCompile(`say "([^"]+)"`).FindAllStringSubmatch(readAll(t, pages), -1) {
		if _, ok := texts[m[1]]; !ok {
			t.Errorf("a template asks for %s, which does not exist", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`say\("([^"]+[a-z0-9])"[,)]`).FindAllStringSubmatch(readAll(t, files), -1) {
		if _, ok := texts[m[1]]; !ok {
			t.Errorf("a handler asks for %s, which does not exist", m[1])
		}
	}
	for name, text := range texts {
		if strings.TrimSpace(text) == "" {
			t.Errorf("text %s is empty", name)
		}
		// error.NNN, title.NNN and time.* are asked for by number or in texts.go.
		if !used[name] && !regexp.MustCompile(`^(error|title)\.[0-9]+$|^time\.`).MatchString(name) {
			t.Errorf("no page uses text %s", name)
		}
	}
}

// A word in a template is one that no other catalogue could say.
func TestTemplatesHoldNoWords(t *testing.T) {
	files, err := filepath.Glob("templates/*.html")
	must(t, err)
	if len(files) < 15 {
		t.Fatalf("only %d templates", len(files))
	}
	action := regexp.MustCompile(`\{\{[^}]*\}\}`)
	spoken := regexp.MustCompile(`(?:alt|title|placeholder|aria-label|aria-description)="[^"]*\pL[^"]*"`)
	words := regexp.MustCompile(`>[^<]*\pL[^<]*<`)
	for _, name := range files {
		text := action.ReplaceAllString(readAll(t, []string{name}), "")
		for _, found := range append(words.FindAllString(text, -1), spoken.FindAllString(text, -1)...) {
			t.Errorf("%s says %q by itself", name, found)
		}
	}
}

func readAll(t *testing.T, names []string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range names {
		body, err := os.ReadFile(name)
		must(t, err)
		all.Write(body)
	}
	return all.String()
}

// What every page owes to people who do not see it, and to the policy that it
// is sent with: checked on each page that a person can come to.
func TestEveryPageIsWholeAndAccessible(t *testing.T) {
	h := build(t, plan{})
	browsers := callers(h)
	seen := 0
	check := func(what string, p *page) {
		if !strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			return
		}
		seen++
		for _, problem := range problems(t, p) {
			t.Errorf("%s (%d %q): %s", what, p.Status, p.Title, problem)
		}
	}
	for _, line := range portal.RoutesForTest(h.portal) {
		for who, b := range browsers {
			if line.Method == http.MethodGet {
				check(line.Path+" as "+who, b.get(line.Path))
			} else if line.Path != "/sallyport/logout" {
				check("POST "+line.Path+" as "+who, b.post(line.Path, map[string][]string{}))
			}
		}
	}
	check("nothing", browsers["anyone"].get("/sallyport/nothing"))
	if seen < 60 {
		t.Errorf("only %d pages were looked at", seen)
	}
}

var ownScript = regexp.MustCompile(`<script src="/sallyport/static/[\w-]+/passkey\.js" defer></script>`)

// problems lists what is wrong with a page's markup.
func problems(t *testing.T, p *page) []string {
	t.Helper()
	var found []string
	if !strings.HasPrefix(p.Body, "<!doctype html>") {
		found = append(found, "no doctype")
	}
	root, err := html.Parse(strings.NewReader(p.Body))
	must(t, err)
	count := map[string]int{}
	ids, labels, inputs := map[string]int{}, map[string]bool{}, []map[string]string{}
	var named []string
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		count[n.Data]++
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				found = append(found, "attribute "+a.Key+" on "+n.Data)
			}
		}
		if id := attr["id"]; id != "" {
			ids[id]++
		}
		named = append(named, strings.Fields(attr["aria-describedby"]+" "+attr["aria-labelledby"])...)
		switch n.Data {
		case "html":
			if attr["lang"] != "en" {
				found = append(found, "no lang")
			}
		case "label":
			labels[attr["for"]] = true
		case "input":
			_, hidden := attr["hidden"]
			if attr["type"] != "hidden" && !hidden {
				inputs = append(inputs, attr)
			}
		case "form":
			if attr["method"] != "post" || !strings.HasPrefix(attr["action"], "/sallyport/") {
				found = append(found, "a form goes to "+attr["method"]+" "+attr["action"])
			}
		case "img":
			if _, ok := attr["alt"]; !ok {
				found = append(found, "a picture without alt")
			}
		case "title":
			want := p.Title + " · Sallyport"
			if p.Status >= 400 {
				want = "Error: " + want
			}
			if text(n) != want {
				found = append(found, "title "+text(n)+" is not "+want)
			}
		}
		for _, ref := range []string{"src", "href"} {
			if v, ok := attr[ref]; ok && !strings.HasPrefix(v, "/") && !(n.Data == "a" && strings.HasPrefix(v, "otpauth://totp/")) {
				found = append(found, n.Data+" leads to "+v)
			}
		}
	}
	for _, id := range named {
		if ids[id] == 0 {
			found = append(found, "nothing has the id "+id)
		}
	}
	for _, one := range []string{"h1", "header", "main", "title", "head", "body"} {
		if count[one] != 1 {
			found = append(found, "not one "+one)
		}
	}
	// A passkey needs a script: the one of ours, by its address, on a page that has no field
	// to fill in.
	asks := strings.Contains(p.Body, `<form id="passkey"`) && count["script"] == 1 && ownScript.MatchString(p.Body)
	for _, none := range []string{"script", "style", "iframe", "object", "embed", "base"} {
		if none == "script" && asks {
			continue
		}
		if count[none] != 0 {
			found = append(found, "a "+none)
		}
	}
	for id, n := range ids {
		if n > 1 {
			found = append(found, "id "+id+" twice")
		}
	}
	tied := 0
	for _, in := range inputs {
		if !labels[in["id"]] {
			found = append(found, "input "+in["name"]+" has no label")
		}
		if in["type"] != "checkbox" && in["autocomplete"] == "" {
			found = append(found, "input "+in["name"]+" has no autocomplete")
		}
		wrong := slices.Contains(strings.Fields(in["aria-describedby"]), "alert")
		if wrong {
			tied++
		}
		if wrong != (in["aria-invalid"] == "true") || wrong && ids["alert"] != 1 {
			found = append(found, "input "+in["name"]+" is not tied to the alert")
		}
	}
	if ids["alert"] == 1 && tied == 0 && !asks {
		found = append(found, "no field is tied to the alert")
	}
	slices.Sort(found)
	return found
}

// The store fails: the page says so with a status that nobody takes for an
// answer, and the log, not the page, says why.
func TestAFailingStoreIsNoAnswer(t *testing.T) {
	h := build(t, plan{broken: true})
	_, e := h.person("alice", "users", true)
	b := h.browser()
	b.signIn("alice", e, "")
	got := b.get("/sallyport/account/")
	if got.Status != 500 || strings.Contains(got.Body, "unexpected EOF") || !strings.Contains(h.log.String(), "unexpected EOF") {
		t.Errorf("%d %q, log %q", got.Status, got.Title, h.log)
	}
}

// Every page loads the style before it shows anything, on slow lines too; and
// what it names from elsewhere would be refused by the pages' policy.
func TestStyleIsSmallAndOurOwn(t *testing.T) {
	style, err := os.ReadFile("static/style.css")
	must(t, err)
	if len(style) > 8<<10 {
		t.Errorf("%d bytes, want at most 8 KiB", len(style))
	}
	// Nothing moves, so nobody has to ask for less of it.
	for _, foreign := range []string{"url(", "@import", "@font-face", "animation", "transition"} {
		if strings.Contains(string(style), foreign) {
			t.Errorf("it holds %s", foreign)
		}
	}
}

// Password managers and the keyboards of phones go by these words alone.
func TestFormsSayWhatBelongsIntoTheirFields(t *testing.T) {
	h := build(t, plan{})
	browsers := callers(h)
	for _, c := range []struct{ who, path, want string }{
		{"anyone", "/sallyport/login", "username current-password"},
		{"halfway", "/sallyport/login/code", "one-time-code"},
		{"halfway", "/sallyport/login/recovery", "off"},
		{"enrolling", "/sallyport/enroll/totp", "one-time-code"},
		{"setting up", "/sallyport/setup", "username new-password new-password"},
		{"invited", "/sallyport/invite", "username new-password new-password"},
		{"signed in", "/sallyport/account/password", "username current-password new-password new-password one-time-code"},
		{"signed in", "/sallyport/account/totp", "one-time-code"},
		{"signed in", "/sallyport/account/recovery-codes", "one-time-code"},
	} {
		var got []string
		for _, m := range regexp.MustCompile(`autocomplete="([^"]*)"`).FindAllStringSubmatch(browsers[c.who].get(c.path).Body, -1) {
			got = append(got, m[1])
		}
		if words := strings.Join(got, " "); words != c.want {
			t.Errorf("%s asks for %q, want %q", c.path, words, c.want)
		}
	}
}
