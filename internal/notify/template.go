package notify

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	texttemplate "text/template"
	"unicode/utf8"
)

// The parts of a text, which are the endings of template files.
const (
	partSubject = "subject" // of a mail, and what a short text begins with
	partText    = "txt"     // of a mail
	partHTML    = "html"    // of a mail
	partShort   = "sms"     // of everything but mail
)

// fallback is the name of the files that are used for kinds without one of their own.
const fallback = "default"

const (
	maxSubject  = 200 // characters
	maxShort    = 480 // characters: three parts of an SMS, or more than most need
	maxTemplate = 64 << 10
	maxRendered = 256 << 10
)

//go:embed templates
var builtin embed.FS

// Templates are the texts of all kinds. They are safe for concurrent use. The HTML
// of a kind without one is made of its text.
type Templates struct {
	text map[string]*texttemplate.Template // by KIND.PART
	html map[string]*htmltemplate.Template
}

// TemplateError is a mistake in a template file.
type TemplateError struct {
	File string
	Line int // from 1; 0: the file as a whole
	Text string
}

func (e *TemplateError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Text
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

// Builtin are the texts that come with the program.
func Builtin() (*Templates, error) {
	t := &Templates{text: map[string]*texttemplate.Template{}, html: map[string]*htmltemplate.Template{}}
	dir, err := fs.Sub(builtin, "templates")
	if err != nil {
		return nil, err
	}
	return t, t.load(dir, "")
}

// LoadTemplates are the built-in texts with those of a directory in their place.
// Every file there is one of KIND.subject, KIND.txt, KIND.html, KIND.sms, with
// default as KIND for all kinds that have none of their own. Hidden files are left
// alone; any other name, and a template that does not work, is a *TemplateError.
func LoadTemplates(dir string) (*Templates, error) {
	t, err := Builtin()
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the directory cannot be read: %w", cause(err))
	case !info.IsDir():
		return nil, errors.New("expected a directory with files such as login_code.txt")
	}
	return t, t.load(os.DirFS(dir), dir)
}

// cause leaves the path out, which the caller knows and a log may not.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func (t *Templates) load(dir fs.FS, name string) error {
	files, err := fs.ReadDir(dir, ".")
	if err != nil {
		return fmt.Errorf("read the templates: %w", cause(err))
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), ".") {
			continue
		}
		if err := t.add(dir, name, f); err != nil {
			return err
		}
	}
	return t.try(name)
}

func (t *Templates) add(dir fs.FS, name string, f fs.DirEntry) error {
	file := filepath.Join(name, f.Name())
	kind, part, _ := strings.Cut(f.Name(), ".")
	if f.IsDir() || !slices.Contains([]string{partSubject, partText, partHTML, partShort}, part) {
		return &TemplateError{File: file, Text: "expected files that end in .subject, .txt, .html or .sms, and nothing else"}
	}
	if kind != fallback && !Kind(kind).Known() {
		return &TemplateError{File: file, Text: "there is no message of this kind: the kinds are " + kindNames() + ", and " + fallback}
	}
	text, err := readTemplate(dir, f.Name())
	if err != nil {
		return &TemplateError{File: file, Text: err.Error()}
	}
	key := kind + "." + part
	if part == partHTML {
		t.html[key], err = htmltemplate.New(key).Option("missingkey=error").Parse(text)
	} else {
		t.text[key], err = texttemplate.New(key).Option("missingkey=error").Parse(text)
	}
	if err != nil {
		return templateError(file, key, err)
	}
	if name == "" {
		return nil
	}
	return t.tryFile(file, key)
}

func kindNames() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

func readTemplate(dir fs.FS, name string) (string, error) {
	f, err := dir.Open(name)
	if err != nil {
		return "", fmt.Errorf("this file cannot be read: %w", cause(err))
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return "", errors.New("expected a file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("this file cannot be read: %w", cause(err))
	case len(text) > maxTemplate:
		return "", fmt.Errorf("larger than %d bytes", maxTemplate)
	case !utf8.Valid(text):
		return "", errors.New("not valid UTF-8")
	}
	return string(text), nil
}

// templateError finds the line in what the template packages say, which is
// "template: NAME:LINE: …" or "template: NAME:LINE:COLUMN: …", after "html/" or not.
func templateError(file, key string, err error) error {
	text := err.Error()
	e := &TemplateError{File: file, Text: text}
	m := regexp.MustCompile(`(?s)^(?:html/)?template: ?` + regexp.QuoteMeta(key) + `:(\d+)(?::\d+)?: (.*)$`).FindStringSubmatch(text)
	if m != nil {
		_, _ = fmt.Sscan(m[1], &e.Line)
		e.Text = strings.TrimPrefix(m[2], `executing "`+key+`" at `)
	}
	if text, at, ok := strings.Cut(e.Text, " started at "+key+":"); ok { // where it began says more than where it was missed
		_, _ = fmt.Sscan(at, &e.Line)
		e.Text = text
	}
	if strings.Contains(e.Text, "map has no entry for key") {
		e.Text += " (the fields are " + strings.Join(Fields(), ", ") + ")"
	}
	return e
}

// tryFile renders one file with every field filled, and with none.
func (t *Templates) tryFile(file, key string) error {
	for _, value := range []string{"x", ""} {
		fields := map[string]string{}
		for _, name := range Fields() {
			fields[name] = value
		}
		var err error
		if key == fallback+"."+partHTML {
			_, err = t.pageFor(Letter{Text: value + "\n\n" + value}, fields)
		} else {
			_, err = t.render(key, fields)
		}
		if err != nil {
			return templateError(file, key, err)
		}
	}
	return nil
}

// try renders every kind.
func (t *Templates) try(name string) error {
	s := Settings{Site: "x", Templates: t}
	for _, kind := range Kinds() {
		for _, method := range []string{Email, SMS} {
			if _, err := s.letter(&record{Kind: kind, Method: method}); err != nil {
				return &TemplateError{File: cmp.Or(name, "templates"), Text: err.Error()}
			}
		}
	}
	return nil
}

// render runs one template; unknown: "".
func (t *Templates) render(key string, fields map[string]string) (string, error) {
	var out bytes.Buffer
	var err error
	if h := t.html[key]; h != nil {
		err = h.Execute(&limited{to: &out}, fields)
	} else if p := t.text[key]; p != nil {
		err = p.Execute(&limited{to: &out}, fields)
	}
	return out.String(), err
}

// limited refuses more than a text may have: a template can loop.
type limited struct{ to *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.to.Len()+len(p) > maxRendered {
		return 0, fmt.Errorf("this text becomes larger than %d bytes", maxRendered)
	}
	return l.to.Write(p)
}

// letter renders a message.
func (s *Settings) letter(r *record) (Letter, error) {
	t := s.Templates
	if t == nil {
		var err error
		if t, err = Builtin(); err != nil {
			return Letter{}, err
		}
	}
	fields := map[string]string{}
	for _, name := range Fields() {
		fields[name] = r.Data[name]
	}
	fields[FieldSite], fields[FieldRealm] = s.Site, r.Realm
	l := Letter{ID: r.ID, Kind: r.Kind, Method: r.Method, To: r.To, Realm: r.Realm, Person: r.Person, Queued: r.Queued, Expires: r.Expires, Data: maps.Clone(r.Data)}
	subject, err := t.render(t.key(r.Kind, partSubject), fields)
	if err != nil {
		return l, err
	}
	l.Subject = oneLine(subject, maxSubject)
	fields[FieldSubject] = l.Subject
	if r.Method != Email {
		text, err := t.render(t.key(r.Kind, partShort), fields)
		l.Text = oneLine(text, maxShort)
		return l, err
	}
	text, err := t.render(t.key(r.Kind, partText), fields)
	if err != nil {
		return l, err
	}
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	for strings.Contains(text, "\n\n\n") { // where a template left something out
		text = strings.ReplaceAll(text, "\n\n\n", "\n\n")
	}
	l.Text = text + "\n"
	l.HTML, err = t.page(r.Kind, l, fields)
	return l, err
}

// key is the template of a part: of the kind, or the one for all.
func (t *Templates) key(k Kind, part string) string {
	key := string(k) + "." + part
	if t.text[key] == nil && t.html[key] == nil {
		return fallback + "." + part
	}
	return key
}

// page is the HTML of a mail: of the kind's own template, or of its text, which the
// one for all gets as paragraphs.
func (t *Templates) page(k Kind, l Letter, fields map[string]string) (string, error) {
	if key := t.key(k, partHTML); key != fallback+"."+partHTML {
		return t.render(key, fields)
	}
	return t.pageFor(l, fields)
}

// pageFor runs the template that makes HTML of any text.
func (t *Templates) pageFor(l Letter, fields map[string]string) (string, error) {
	var out bytes.Buffer
	err := t.html[fallback+"."+partHTML].Execute(&limited{to: &out}, pageOf(l, fields))
	return out.String(), err
}

// pageOf are the fields of default.html: those of all templates, and the text taken
// apart into paragraphs. Links and codes stand alone on a line, and so are told
// from words.
func pageOf(l Letter, fields map[string]string) map[string]any {
	page := map[string]any{}
	for name, value := range fields {
		page[name] = value
	}
	var paragraphs []map[string]any
	for _, text := range strings.Split(l.Text, "\n\n") {
		text = strings.TrimSpace(text)
		p := map[string]any{"text": text, "lines": strings.Split(text, "\n"), "link": "", "code": ""}
		switch {
		case text == "":
			continue
		case text == fields[FieldLink] || text == fields[FieldNotMe]:
			p["link"] = text
		case text == fields[FieldCode] || text == fields[FieldCodes]:
			p["code"] = text
		}
		paragraphs = append(paragraphs, p)
	}
	page["paragraphs"] = paragraphs
	return page
}

// oneLine makes a text one line: no header can be begun in it.
func oneLine(text string, most int) string {
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unprintable(r) {
			return ' '
		}
		return r
	}, text)), " ")
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most-1]) + "…"
	}
	return text
}
