package api

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/web"
)

// DocsPath is the page that shows the description to people, and lets them try
// the calls. What it needs lies below it.
const DocsPath = "/sallyport/docs"

//go:embed docs/page.html docs/style.css docs/try.js
var docsFiles embed.FS

// docsPolicy: one script and the style sheets come from here, the script speaks
// to here alone, and nothing stands in the page itself.
const docsPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// docs is the page, rendered once: it changes with the program alone.
type docs struct{ page, style, script []byte }

// docsView is what the template sees.
type docsView struct {
	Look                web.Look
	Prefix, Description string
	Groups              []*docsGroup
}

type docsGroup struct {
	ID, Name string
	Calls    []docsCall
}

type docsCall struct {
	ID, Method, Path, Summary, Description string
	Media, Example                         string // of the body
	Parameters, Body, Good                 []docsField
	Answers                                []docsAnswer
}

// PathParts lets a path break where a person would break it.
func (c docsCall) PathParts() []string { return strings.SplitAfter(c.Path, "/") }

type docsField struct {
	Name, In, Kind, Doc string
	Required            bool
}

type docsAnswer struct{ Status, Text string }

// spec is the description, as far as the page shows it.
type spec struct {
	Paths      map[string]map[string]specCall `json:"paths"`
	Components struct {
		Schemas   map[string]*specSchema  `json:"schemas"`
		Responses map[string]specResponse `json:"responses"`
	} `json:"components"`
}

type specCall struct {
	ID          string          `json:"operationId"`
	Summary     string          `json:"summary"`
	Description string          `json:"description"`
	Tags        []string        `json:"tags"`
	Parameters  []specParameter `json:"parameters"`
	RequestBody struct {
		Content specContent `json:"content"`
	} `json:"requestBody"`
	Responses map[string]specResponse `json:"responses"`
}

type specParameter struct {
	Name        string      `json:"name"`
	In          string      `json:"in"`
	Required    bool        `json:"required"`
	Description string      `json:"description"`
	Schema      *specSchema `json:"schema"`
}

type specResponse struct {
	Ref         string      `json:"$ref"`
	Description string      `json:"description"`
	Content     specContent `json:"content"`
}

type specContent map[string]struct {
	Schema *specSchema `json:"schema"`
}

type specSchema struct {
	Ref         string                 `json:"$ref"`
	Type        any                    `json:"type"`
	Description string                 `json:"description"`
	Enum        []any                  `json:"enum"`
	Examples    []any                  `json:"examples"`
	Properties  map[string]*specSchema `json:"properties"`
	Required    []string               `json:"required"`
	Items       *specSchema            `json:"items"`
}

// renderDocs makes the page from the description.
func renderDocs(description []byte, look web.Look) (*docs, error) {
	var s spec
	if err := json.Unmarshal(description, &s); err != nil {
		return nil, fmt.Errorf("read the description: %w", err)
	}
	t, err := template.ParseFS(docsFiles, "docs/page.html")
	if err != nil {
		return nil, fmt.Errorf("parse the page of the API: %w", err)
	}
	look.Site = cmp.Or(look.Site, "Sallyport")
	var page bytes.Buffer
	if err := t.Execute(&page, docsView{Look: look, Prefix: Prefix, Description: DescriptionPath, Groups: s.groups()}); err != nil {
		return nil, fmt.Errorf("render the page of the API: %w", err)
	}
	d := &docs{page: page.Bytes()}
	if d.style, err = docsFiles.ReadFile("docs/style.css"); err != nil {
		return nil, err
	}
	d.script, err = docsFiles.ReadFile("docs/try.js")
	return d, err
}

// groups are the calls in the order in which a reader needs them.
func (s *spec) groups() []*docsGroup {
	byName := map[string]*docsGroup{}
	var all []*docsGroup
	for _, name := range groupNames() {
		g := &docsGroup{ID: strings.ReplaceAll(strings.ToLower(name), " ", "-"), Name: name}
		byName[name], all = g, append(all, g)
	}
	for _, path := range slices.Sorted(maps.Keys(s.Paths)) {
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			if call, ok := s.Paths[path][method]; ok && len(call.Tags) == 1 {
				g := byName[call.Tags[0]]
				g.Calls = append(g.Calls, s.call(strings.ToUpper(method), path, call))
			}
		}
	}
	return slices.DeleteFunc(all, func(g *docsGroup) bool { return len(g.Calls) == 0 })
}

func (s *spec) call(method, path string, call specCall) docsCall {
	c := docsCall{ID: call.ID, Method: method, Path: path, Summary: call.Summary, Description: call.Description}
	for _, p := range call.Parameters {
		c.Parameters = append(c.Parameters, docsField{Name: p.Name, In: p.In, Kind: "in the " + p.In + ", " + s.kind(p.Schema), Doc: p.Description, Required: p.Required})
	}
	for media, body := range call.RequestBody.Content { // there is one
		c.Media, c.Body, c.Example = media, s.fields("", body.Schema, 0), s.exampleText(media, body.Schema)
	}
	for _, status := range slices.Sorted(maps.Keys(call.Responses)) {
		r := call.Responses[status]
		if good := r.Content["application/json"].Schema; good != nil && status[0] == '2' {
			c.Good = s.fields("", good, 0)
		}
		if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
			r = s.Components.Responses[name]
		}
		if status != "default" {
			c.Answers = append(c.Answers, docsAnswer{status, r.Description})
		}
	}
	return c
}

func (s *spec) resolve(schema *specSchema) *specSchema {
	if name, ok := strings.CutPrefix(schema.Ref, "#/components/schemas/"); ok {
		return s.Components.Schemas[name]
	}
	return schema
}

// maxFieldDepth bounds how deep fields of fields are shown.
const maxFieldDepth = 4

// fields lists an object's, those that are needed first, with their own below.
func (s *spec) fields(prefix string, schema *specSchema, depth int) (all []docsField) {
	schema = s.resolve(schema)
	names := slices.SortedFunc(maps.Keys(schema.Properties), func(a, b string) int {
		needed := func(name string) int { return slices.Index(append(slices.Clone(schema.Required), name), name) }
		return cmp.Or(cmp.Compare(needed(a), needed(b)), cmp.Compare(a, b))
	})
	for _, name := range names {
		field := schema.Properties[name]
		all = append(all, docsField{Name: prefix + name, Kind: s.kind(field), Doc: s.doc(field), Required: slices.Contains(schema.Required, name)})
		inner, under := s.resolve(field), prefix+name+"."
		if inner.Items != nil {
			inner, under = s.resolve(inner.Items), prefix+name+"[]."
		}
		if depth < maxFieldDepth {
			all = append(all, s.fields(under, inner, depth+1)...)
		}
	}
	return all
}

func (s *spec) doc(schema *specSchema) string {
	doc := cmp.Or(schema.Description, s.resolve(schema).Description)
	if len(schema.Examples) > 0 {
		if text, err := json.Marshal(schema.Examples[0]); err == nil {
			doc = strings.TrimSpace(doc + " For example " + string(text) + ".")
		}
	}
	return doc
}

// kind is a type in a word or two.
func (s *spec) kind(schema *specSchema) string {
	schema = s.resolve(schema)
	word, _ := schema.Type.(string)
	if list, ok := schema.Type.([]any); ok && len(list) > 0 {
		word, _ = list[0].(string)
	}
	switch {
	case len(schema.Enum) > 0:
		words := make([]string, len(schema.Enum))
		for i, v := range schema.Enum {
			words[i] = fmt.Sprint(v)
		}
		return strings.Join(words, " or ")
	case word == "array" && schema.Items != nil:
		return "list of " + s.kind(schema.Items)
	case word == "string":
		return "text"
	case word == "boolean":
		return "true or false"
	case word == "integer":
		return "number"
	}
	return word
}

// exampleText is a body to begin with, as it is sent.
func (s *spec) exampleText(media string, schema *specSchema) string {
	if media == formType {
		form := url.Values{}
		for name, field := range s.resolve(schema).Properties {
			form.Set(name, fmt.Sprint(s.example(field, 0)))
		}
		return form.Encode()
	}
	text, err := json.MarshalIndent(s.example(schema, 0), "", "  ")
	if err != nil {
		return ""
	}
	return string(text)
}

// example is a body to begin with: what is needed, and what has an example.
func (s *spec) example(schema *specSchema, depth int) any {
	if len(schema.Examples) > 0 {
		return schema.Examples[0]
	}
	schema = s.resolve(schema)
	switch kind := s.kind(schema); {
	case len(schema.Enum) > 0:
		return schema.Enum[0]
	case schema.Items != nil:
		return []any{}
	case kind == "true or false":
		return false
	case kind == "number":
		return 0
	case len(schema.Properties) == 0 || depth > maxFieldDepth:
		return ""
	}
	body := map[string]any{}
	for name, field := range schema.Properties {
		if slices.Contains(schema.Required, name) || len(field.Examples) > 0 {
			body[name] = s.example(field, depth+1)
		}
	}
	return body
}

// OwnsDocs reports whether a path is the page's, or of what it needs.
func OwnsDocs(path string) bool { return path == DocsPath || strings.HasPrefix(path, DocsPath+"/") }

// serveDocs answers the page. It knows nobody: no cookie is read, and there is
// one page for everybody.
func (a *API) serveDocs(w http.ResponseWriter, r *http.Request) {
	if a.docs == nil {
		notFound().write(w)
		return
	}
	switch r.URL.Path {
	case DocsPath:
		w.Header().Set("Content-Security-Policy", docsPolicy)
		a.serveText(w, r, "text/html; charset=utf-8", a.docs.page)
	case DocsPath + "/style.css":
		a.serveText(w, r, "text/css; charset=utf-8", a.docs.style)
	case DocsPath + "/try.js":
		a.serveText(w, r, "text/javascript; charset=utf-8", a.docs.script)
	default:
		notFound().write(w)
	}
}
