package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/web/api"
)

const canary = "CaNaRy73917391"

type schema struct {
	Ref        string             `json:"$ref"`
	Type       any                `json:"type"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Enum       []any              `json:"enum"`
	MaxLength  int                `json:"maxLength"`
	Minimum    *float64           `json:"minimum"`
	Maximum    *float64           `json:"maximum"`
}

func (s *schema) is(kind string) bool {
	kinds, _ := s.Type.([]any)
	return s.Type == kind || slices.Contains(kinds, any(kind))
}

type parameterOf struct {
	Name, In string
	Schema   *schema
}

type operation struct {
	Responses   map[string]any
	Parameters  []parameterOf
	RequestBody *struct {
		Required bool
		Content  map[string]struct{ Schema *schema }
	}
}

// book is the description, as far as bad requests can be made of it.
type book struct {
	Paths      map[string]map[string]*operation
	Components struct{ Schemas map[string]*schema }
}

func (w *world) book() *book {
	w.Helper()
	text, err := os.ReadFile(w.description())
	must(w, err)
	b := &book{}
	must(w, json.Unmarshal(text, b))
	return b
}

func (b *book) resolve(s *schema) *schema {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return b.Components.Schemas[name]
	}
	return s
}

// value is something that a field takes, as short as can be.
func (b *book) value(s *schema) any {
	s = b.resolve(s)
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.is("boolean"):
		return false
	case s.is("integer"), s.is("number"):
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 1
	case s.is("array"):
		return []any{}
	case s.is("object"):
		return b.least(s)
	}
	return "x"
}

// least is the smallest body with all that is required.
func (b *book) least(s *schema) map[string]any {
	s = b.resolve(s)
	body := map[string]any{}
	for _, name := range s.Required {
		body[name] = b.value(s.Properties[name])
	}
	return body
}

// bad is one request that must be refused.
type bad struct {
	name, method, path string
	body               any
	header             []string
}

// badFor makes every bad request of a call that its description shows.
func (b *book) badFor(route api.Route) []bad {
	op := b.Paths[route.Path][strings.ToLower(route.Method)]
	call := bad{method: route.Method, path: fill(route.Path)}
	var shape *schema
	if route.OAuth {
		return badForms(call)
	}
	if op.RequestBody != nil {
		shape = b.resolve(op.RequestBody.Content["application/json"].Schema)
		call.body = b.least(shape)
	}
	all := b.badParameters(call, route, op)
	add := func(name string, change func(*bad)) {
		c := call
		c.name = name
		change(&c)
		all = append(all, c)
	}
	add("unknown query parameter", func(c *bad) { c.path += "?" + canary + "=" + canary })
	add("unknown method", func(c *bad) { c.method = strings.ToUpper(canary) })
	add("TRACE", func(c *bad) { c.method = "TRACE" })
	if shape == nil {
		add("a body on a call without one", func(c *bad) { c.body = map[string]any{canary: canary} })
		return all
	}
	least, err := json.Marshal(call.body)
	if err != nil {
		panic(err)
	}
	if op.RequestBody.Required && len(shape.Required) > 0 {
		add("no body", func(c *bad) { c.body = nil })
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=" + canary, "application/json; charset=" + canary, ""} {
		add("content type "+kind, func(c *bad) { c.body, c.header = string(least)+" ", []string{"Content-Type", kind} })
	}
	for name, text := range map[string]string{
		"no JSON": canary, "a list": `["` + canary + `"]`, "a text": `"` + canary + `"`, "null": "null", "half a body": string(least[:len(least)-1]) + `"` + canary,
		"trailing garbage": string(least) + canary, "a second document": string(least) + `{"` + canary + `":1}`,
		"invalid UTF-8": "{\"" + canary + "\":\"\xff\"}", "unknown field": `{"` + canary + `":"` + canary + `"}`,
		"too large": `{"` + canary + `":"` + strings.Repeat(canary, 6<<10) + `"}`,
	} {
		add(name, func(c *bad) { c.body = text })
	}
	return append(all, b.badFields(call, shape)...)
}

// badForms are for the call that speaks OAuth.
func badForms(call bad) (all []bad) {
	const form, grant = "application/x-www-form-urlencoded", "grant_type=client_credentials"
	for _, c := range []struct{ kind, query, body string }{
		{form, "", ""}, {form, "", canary}, {form, "", grant}, {form, "", "grant_type=" + canary}, {form, "", grant + "&scope=" + canary},
		{form, "?" + canary + "=1", grant}, {form, "", grant + "&" + grant}, {form, "", "%zz" + canary}, {form, "", strings.Repeat(canary, 6<<10)},
		{form, "", grant + "&client_id=" + canary}, {"application/json", "", `{"` + canary + `":1}`}, {"", "", grant}, {"text/plain; x=" + canary, "", canary},
	} {
		one := call
		one.name, one.path, one.body, one.header = c.kind+" "+c.query, call.path+c.query, c.body, []string{"Content-Type", c.kind}
		all = append(all, one)
	}
	other := call
	other.name, other.method = "unknown method", strings.ToUpper(canary)
	return append(all, other)
}

// refused reports whether an answer is a refusal in the form of its call.
func (a *answer) refused(route api.Route, codes map[string]bool) bool {
	if a.status < 400 || a.status >= 500 {
		return false
	}
	if word, ok := a.fields["error"].(string); ok && route.OAuth { // RFC 6749 section 5.2
		return slices.Contains([]string{"invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope"}, word) && a.header.Get("Content-Type") == "application/json"
	}
	return a.header.Get("Content-Type") == "application/problem+json" && codes[a.code()] && a.text("title") != ""
}

func (b *book) badFields(call bad, shape *schema) (all []bad) {
	for _, name := range slices.Sorted(maps.Keys(shape.Properties)) {
		field := b.resolve(shape.Properties[name])
		add := func(what string, value any) {
			c, body := call, b.least(shape)
			body[name] = value
			c.name, c.body = name+": "+what, body
			all = append(all, c)
		}
		if !field.is("object") {
			add("an object", map[string]any{canary: canary})
		}
		if !field.is("array") {
			add("a list", []any{canary})
		}
		if field.is("string") {
			add("a number", 73917391)
		} else {
			add("a text", canary)
		}
		if field.MaxLength > 0 {
			add("too long", canary+strings.Repeat("x", field.MaxLength))
		}
		if len(field.Enum) > 0 && field.is("string") {
			add("another word", canary)
		}
		if field.Maximum != nil {
			add("too much", *field.Maximum+1)
		}
		if slices.Contains(shape.Required, name) {
			c, body := call, b.least(shape)
			delete(body, name)
			c.name, c.body = name+" missing", body
			all = append(all, c)
		}
		value, err := json.Marshal(b.value(field))
		if err != nil {
			panic(err)
		}
		c := call
		c.name, c.body = name+" twice", fmt.Sprintf(`{%q:%s,%q:%s}`, name, value, name, value)
		all = append(all, c)
	}
	return all
}

func (b *book) badParameters(call bad, route api.Route, op *operation) (all []bad) {
	for _, p := range op.Parameters {
		add := func(what, path string, header ...string) {
			c := call
			c.name, c.path, c.header = p.Name+": "+what, path, header
			all = append(all, c)
		}
		long := canary + strings.Repeat("x", p.Schema.MaxLength)
		switch p.In {
		case "path":
			for _, value := range []string{long, canary + "@" + canary, canary + "%00", canary + "%0A", canary + "%2C", canary + "%FF"} {
				add(value, fill(strings.Replace(route.Path, "{"+p.Name+"}", value, 1)))
			}
		case "query":
			if p.Schema.MaxLength > 0 {
				add("too long", call.path+"?"+p.Name+"="+long)
			}
			if !p.Schema.is("string") {
				add("a text", call.path+"?"+p.Name+"="+canary)
			}
			if p.Schema.Maximum != nil {
				add("too much", call.path+"?"+p.Name+"=73917391")
				add("too little", call.path+"?"+p.Name+"=-73917391")
			}
			if p.Name == "cursor" || p.Name == "realm" {
				add("nonsense", call.path+"?"+p.Name+"="+canary)
			}
		case "header":
			add("malformed", call.path, p.Name, `"`+canary)
			add("too long", call.path, p.Name, `"`+long)
		}
	}
	return all
}

// someoneFor is whoever a route is for.
func (w *world) someoneFor(route api.Route, member, root *visitor) *visitor {
	switch route.Who {
	case api.Anyone:
		return w.stranger()
	case api.Capable, api.OwnerOrCapable:
		return root
	case api.LocalOnly:
		return w.admin()
	}
	return member
}

// Attack (S8): somebody sends what a call does not expect, and reads in the
// refusal what a library made of it: the password in a field of the wrong type,
// a name, a header. Every call of the table is sent everything bad that its
// description shows, by somebody who may make it. Each is refused in one form,
// with a code of the manual, without a word of what was sent, and leaves the
// store as it was.
func TestEveryCallRefusesBadInputInOneForm(t *testing.T) {
	w := newWorld(t, worldOptions{})
	codes, b := documented(t), w.book()
	member, root := w.member("bert@users").visit(), w.member("root@admin").visit()
	tried, before := 0, w.dump()
	for _, route := range w.api.Routes() {
		v := w.someoneFor(route, member, root)
		for _, c := range b.badFor(route) {
			header := append([]string{"Accept", canary, "X-Request-Id", canary, "Referer", canary, "User-Agent", canary}, c.header...)
			a := v.saying(header...).send(c.method, c.path, c.body)
			tried++
			what := route.Method + " " + route.Path + ", " + c.name
			if !a.refused(route, codes) {
				t.Errorf("%s: %v", what, a)
			}
			op := b.Paths[route.Path][strings.ToLower(route.Method)]
			if a.status != 405 && a.status != 404 && op.Responses[fmt.Sprint(a.status)] == nil {
				t.Errorf("%s: the description does not know the status of %v", what, a)
			}
			if all := strings.ToLower(fmt.Sprint(a.header) + a.body); strings.Contains(all, strings.ToLower(canary)) || strings.Contains(all, "73917391") {
				t.Errorf("%s is repeated: %v %v", what, a.header, a)
			}
			after := w.dump()
			if !maps.Equal(before, after) {
				t.Errorf("%s changed the store: %v", what, a)
			}
			before = after
		}
		if route.Who == api.Anyone || route.Who == api.LocalOnly {
			continue
		}
		if a := w.stranger().bearing(canary).send(route.Method, fill(route.Path), nil); route.Who != api.OwnerOrEnrolling && a.status != http.StatusUnauthorized || strings.Contains(a.body, canary) {
			t.Errorf("%s %s with a false token: %v", route.Method, route.Path, a)
		}
	}
	if tried < 1000 || strings.Contains(w.log.String(), canary) {
		t.Errorf("%d requests; the log repeats: %v", tried, strings.Contains(w.log.String(), canary))
	}
}
