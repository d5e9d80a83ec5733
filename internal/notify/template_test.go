package notify_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/notify"
)

// written makes a directory of template files.
func written(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sent is what one message becomes with some templates.
func sent(t *testing.T, templates *notify.Templates, m notify.Message) notify.Letter {
	t.Helper()
	w, c := newWorld(t), &carrier{}
	w.out.Use(notify.Settings{Site: "Example & Co", Templates: templates, Senders: map[string]notify.Sender{notify.Email: c, notify.SMS: c, "pager": c}})
	w.out.Start()
	if m.To == "" {
		m.To = "alice@example.com"
	}
	if m.Method == "" {
		m.Method = notify.Email
	}
	if !m.Kind.Notice() {
		m.Expires = w.clock.Now().Add(600e9)
	}
	w.queue(m)
	w.await("the letter", func() bool { return len(c.letters()) == 1 })
	return c.letters()[0]
}

func TestEveryKindHasATextOfItsOwn(t *testing.T) {
	subjects := map[string]notify.Kind{}
	for _, kind := range notify.Kinds() {
		l := sent(t, nil, notify.Message{Kind: kind, Data: map[string]string{
			notify.FieldName: "Alice", notify.FieldCode: "836492", notify.FieldCodes: "aaaa-bbbb\ncccc-dddd", notify.FieldLink: "https://auth.example.com/x?token=spi_1&a=b",
			notify.FieldNotMe: "https://auth.example.com/not-me?token=spi_2", notify.FieldBrowser: "Firefox on Linux", notify.FieldNetwork: "192.0.2.7",
			notify.FieldWhen: "4 May 2026, 09:00 UTC", notify.FieldExpires: "10 minutes", notify.FieldMethod: "Phone", notify.FieldLeft: "7",
		}})
		if other, ok := subjects[l.Subject]; ok && kind != notify.MethodCode && kind != notify.LoginCode {
			t.Errorf("%s and %s have the subject %q", kind, other, l.Subject)
		}
		subjects[l.Subject] = kind
		if l.Subject == "" || strings.Contains(l.Text, "\n\n\n") || strings.Contains(l.Text, "<no value>") || !strings.Contains(l.HTML, "Example &amp; Co") {
			t.Errorf("%s: subject %q, text\n%s", kind, l.Subject, l.Text)
		}
		if kind.Notice() && (!strings.Contains(l.Text, "https://auth.example.com/not-me?token=spi_2") || !strings.Contains(l.HTML, `href="https://auth.example.com/not-me?token=spi_2"`)) {
			t.Errorf("%s does not say how to say that it was somebody else:\n%s", kind, l.Text)
		}
	}
}

// A stranger starts something with a name, or a browser, that is a link or markup.
// Gained before: a link of theirs in a message of ours.
func TestFieldsOfStrangersAreNoLinksAndNoMarkup(t *testing.T) {
	for _, kind := range []notify.Kind{notify.SignedIn, notify.Reset, notify.Registration, notify.AccountExists, notify.FactorAdded} {
		l := sent(t, nil, notify.Message{Kind: kind, Data: map[string]string{
			notify.FieldName: "you won: https://evil.example/a", notify.FieldBrowser: "<a href=\"http://evil.example\">x</a>\r\n\r\nhttp://evil.example",
			notify.FieldMethod: "<img src=x onerror=alert(1)>", notify.FieldLink: "https://auth.example.com/x"}})
		for _, bad := range []string{"https://evil", "http://evil"} {
			if strings.Contains(l.HTML, bad) || strings.Contains(l.Text, bad) {
				t.Errorf("%s holds %s:\n%s", kind, bad, l.HTML)
			}
		}
		if strings.Contains(l.HTML, "<img") || strings.Contains(l.HTML, "<a href=\"http:") {
			t.Errorf("%s holds markup of a stranger:\n%s", kind, l.HTML)
		}
	}
}

func TestShortTexts(t *testing.T) {
	for _, kind := range notify.Kinds() {
		l := sent(t, nil, notify.Message{Kind: kind, Method: notify.SMS, To: "+41791234567", Data: map[string]string{notify.FieldCode: "836492"}})
		if l.Text == "" || len(l.Text) > 160 || strings.Contains(l.Text, "\n") || l.HTML != "" {
			t.Errorf("%s: %q", kind, l.Text)
		}
	}
	l := sent(t, nil, notify.Message{Kind: notify.LoginCode, Method: notify.SMS, To: "+41791234567", Data: map[string]string{notify.FieldCode: "836492"}})
	if !strings.Contains(l.Text, "836492") {
		t.Errorf("%q", l.Text)
	}
}

func TestTemplatesOfADirectoryTakeThePlaceOfTheBuiltInOnes(t *testing.T) {
	dir := written(t, map[string]string{
		"login_code.subject": "Ihr Code {{.code}}\n", "login_code.txt": "Guten Tag\n\n{{.code}}\n", "signed_in.html": "<b>{{.browser}}</b>",
		"default.sms": "{{.site}} {{.subject}}", ".hidden": "x",
	})
	templates, err := notify.LoadTemplates(dir)
	if err != nil {
		t.Fatal(err)
	}
	l := sent(t, templates, notify.Message{Kind: notify.LoginCode, Data: map[string]string{notify.FieldCode: "836492"}})
	if l.Subject != "Ihr Code 836492" || l.Text != "Guten Tag\n\n836492\n" || !strings.Contains(l.HTML, "Guten Tag") {
		t.Errorf("%+v", l)
	}
	l = sent(t, templates, notify.Message{Kind: notify.SignedIn, Data: map[string]string{notify.FieldBrowser: "<i>"}})
	if l.HTML != "<b>&lt;i&gt;</b>" || !strings.Contains(l.Subject, "New sign-in") {
		t.Errorf("%+v", l)
	}
	l = sent(t, templates, notify.Message{Kind: notify.SignedIn, Method: "pager", To: "17"})
	if l.Text != "Example & Co New sign-in at Example & Co" {
		t.Errorf("%+v", l)
	}
}

func TestPageOfAllKindsCanBeReplaced(t *testing.T) {
	templates, err := notify.LoadTemplates(written(t, map[string]string{"default.html": `<h1>{{.site}}</h1>{{range .paragraphs}}{{if .code}}<code>{{.code}}</code>{{else}}<p>{{.text}}</p>{{end}}{{end}}`}))
	if err != nil {
		t.Fatal(err)
	}
	l := sent(t, templates, notify.Message{Kind: notify.LoginCode, Data: map[string]string{notify.FieldCode: "836492"}})
	if !strings.HasPrefix(l.HTML, "<h1>Example &amp; Co</h1><p>Hello,</p><p>this is your code:</p><code>836492</code><p>") {
		t.Errorf("%s", l.HTML)
	}
}

func TestBrokenTemplatesAreFoundWithFileAndLine(t *testing.T) {
	for name, c := range map[string]struct {
		text, expected string
		line           int
	}{
		"login_code.txt":     {"Hello\n\n{{.code\n", "", 3},
		"login_code.subject": {"{{.colour}}", "the fields are site,", 1},
		"reset.html":         {"<p>\n{{if .link}}\n", "", 3},
		"signed_in.html":     {"<p>\n\n{{.colour}}</p>", "colour", 3},
		"signed_in.sms":      {"{{range $i := .code}}{{end}}\n{{template \"x\"}}", "", 1},
		"default.html":       {"<p>\n{{range .sentences}}{{end}}", "sentences", 2},
		"hello.txt":          {"x", "the kinds are login_code,", 0},
		"login_code.md":      {"x", "expected files that end in", 0},
		"README":             {"x", "expected files that end in", 0},
		"default.txt":        {"{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}", "", 1},
	} {
		_, err := notify.LoadTemplates(written(t, map[string]string{name: c.text}))
		var bad *notify.TemplateError
		if !errors.As(err, &bad) || filepath.Base(bad.File) != name || !strings.Contains(bad.Text, c.expected) || c.line != 0 && bad.Line != c.line {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, dir := range []string{filepath.Join(t.TempDir(), "missing"), written(t, nil) + "/x"} {
		if _, err := notify.LoadTemplates(dir); err == nil {
			t.Errorf("%s: taken", dir)
		}
	}
}
