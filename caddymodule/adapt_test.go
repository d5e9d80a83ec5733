package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/sallyport-auth/sallyport/caddymodule"
	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

var update = flag.Bool("update", false, "write what the adapter says into the golden files; then look at each")

const (
	goldens   = "testdata/adapt"
	separator = "\n----------\n"
)

// adapt gives a Caddyfile to Caddy's own adapter. Relative imports begin where the
// golden files are, and what it says names no directory of this machine.
func adapt(t testing.TB, text string) (adapted []byte, warnings []string, err error) {
	t.Helper()
	here, wderr := os.Getwd()
	if wderr != nil {
		t.Fatal(wderr)
	}
	plain := strings.NewReplacer(filepath.Join(here, goldens)+"/", "", goldens+"/", "")
	adapted, said, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": goldens + "/Caddyfile"})
	for _, w := range said {
		if !strings.Contains(w.Message, "not formatted") {
			warnings = append(warnings, plain.Replace(w.Message))
		}
	}
	if err != nil {
		err = fmt.Errorf("%s", plain.Replace(err.Error()))
	}
	return adapted, warnings, err
}

// ours are the parts of an adapted configuration that this module made.
type ours struct {
	App    json.RawMessage `json:"app,omitempty"`
	Routes []route         `json:"routes,omitempty"`
}

type route struct {
	Match   json.RawMessage `json:"match,omitempty"`
	Handler json.RawMessage `json:"handler"`
}

func partsOf(t *testing.T, adapted []byte) (o ours) {
	t.Helper()
	var all struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(adapted, &all); err != nil {
		t.Fatalf("the adapter wrote what is no JSON: %v", err)
	}
	o.App = all.Apps["sallyport"]
	if all.Apps["http"] != nil {
		o.Routes = routesIn(t, all.Apps["http"])
	}
	return o
}

// routesIn finds our handlers however deep they stand, with their own matchers.
func routesIn(t *testing.T, text json.RawMessage) (found []route) {
	t.Helper()
	var object map[string]json.RawMessage
	var list []json.RawMessage
	switch {
	case json.Unmarshal(text, &list) == nil:
		for _, inner := range list {
			found = append(found, routesIn(t, inner)...)
		}
	case json.Unmarshal(text, &object) == nil:
		var handlers []json.RawMessage
		if json.Unmarshal(object["handle"], &handlers) == nil {
			for _, h := range handlers {
				if bytes.Contains(h, []byte(`"handler":"sallyport"`)) && !bytes.Contains(h, []byte(`"handler":"subroute"`)) {
					found = append(found, route{object["match"], h})
				}
			}
		}
		names := []string{}
		for name := range object {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			found = append(found, routesIn(t, object[name])...)
		}
	}
	return found
}

// said is what a golden file expects. Those whose name begins with whole hold the
// routes of the other directives too.
func said(t *testing.T, name, text string) string {
	t.Helper()
	adapted, warnings, err := adapt(t, text)
	if err != nil {
		return "ERROR: " + err.Error() + "\n"
	}
	var out any = json.RawMessage(adapted)
	if !strings.HasPrefix(name, "whole") {
		out = partsOf(t, adapted)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(out); err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		fmt.Fprintf(&buf, "WARNING: %s\n", w)
	}
	return buf.String()
}

func goldenFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(goldens + "/*.caddyfiletest")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d golden files: %v", len(files), err)
	}
	return files
}

func readGolden(t testing.TB, file string) (input, want string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	input, want, _ = strings.Cut(string(text), separator)
	return input, want
}

// A Caddyfile says exactly what its author meant, or it is refused with the file,
// the line and what was expected there.
func TestAdapt(t *testing.T) {
	for _, file := range goldenFiles(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".caddyfiletest")
		t.Run(name, func(t *testing.T) {
			input, want := readGolden(t, file)
			got := said(t, name, input+"\n")
			if *update && got != want {
				if err := os.WriteFile(file, []byte(input+separator+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if strings.HasPrefix(got, "ERROR: ") && !strings.Contains(got, ":") {
				t.Error("an error without a place")
			}
		})
	}
}

// fields are all JSON members below a type, indices and names as *.
func fields(t reflect.Type, at string) (all []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return fields(t.Elem(), at+"/*")
		}
	case reflect.Map:
		return fields(t.Elem(), at+"/*")
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(t) {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || tag == "" {
				continue
			}
			all = append(all, at+"/"+tag)
			all = append(all, fields(f.Type, at+"/"+tag)...)
		}
	}
	return all
}

// members are the JSON members that a value has.
func members(value any, at string, seen map[string]bool) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if at == "/realms" || at == "/methods" {
				key = "*"
			}
			seen[at+"/"+key] = true
			members(inner, at+"/"+key, seen)
		}
	case []any:
		for _, inner := range v {
			members(inner, at+"/*", seen)
		}
	}
}

// An option that no golden file has may mean anything. A word of the configuration
// is adapted in one of them, or refused in one.
func TestAdaptKnowsEveryOption(t *testing.T) {
	apps, handlers, refused := map[string]bool{}, map[string]bool{}, ""
	for _, file := range goldenFiles(t) {
		_, want := readGolden(t, file)
		if text, bad := strings.CutPrefix(want, "ERROR: "); bad {
			refused += text
			continue
		}
		text, _, _ := strings.Cut(want, "\nWARNING: ")
		var o ours
		if strings.HasPrefix(filepath.Base(file), "whole") {
			o = partsOf(t, []byte(text))
		} else if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, one := range append(o.Routes, route{Handler: o.App}) {
			var value any
			if one.Handler != nil && json.Unmarshal(one.Handler, &value) != nil {
				t.Fatal(file)
			}
			if bytes.Contains(one.Handler, []byte(`"handler"`)) {
				members(value, "", handlers)
			} else {
				members(value, "", apps)
			}
		}
	}
	for _, f := range fields(reflect.TypeFor[gateway.Config](), "") {
		word, _, below := strings.Cut(f[1:], "/")
		if gateway.NotForRoutes(word) != "" {
			if !below && !strings.Contains(refused, gateway.NotForRoutes(word)) {
				t.Errorf("no golden file shows that %s is refused", f)
			}
			continue
		}
		if !apps[f] {
			t.Errorf("no golden file has the global word %s", f)
		}
	}
	for _, f := range append(fields(reflect.TypeFor[caddymodule.Handler](), ""), fields(reflect.TypeFor[[]guard.Rule](), "/rules")...) {
		if !handlers[f] {
			t.Errorf("no golden file has the directive's word %s", f)
		}
	}
}

// What can be said in YAML can be said in a Caddyfile, and means the same: this
// pair of files has every word.
func TestAdaptedIsWhatYAMLSays(t *testing.T) {
	const canary = "Q0FOQVJZLUNBTkFSWS1DQU5BUlktQ0FOQVJZLTAxMjM="
	t.Setenv("SALLYPORT_TEST_MASTER_KEY", canary)
	input, _ := readGolden(t, goldens+"/everything.caddyfiletest")
	adapted, _, err := adapt(t, input+"\n")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(adapted, []byte(canary)) {
		t.Error("a secret was read when the Caddyfile was adapted")
	}
	fromCaddyfile, err := gateway.Decode(gateway.Source{JSON: partsOf(t, adapted).App, Expand: true})
	if err != nil {
		t.Fatal(err)
	}
	fromYAML, err := gateway.Load(goldens + "/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.MarshalIndent(fromCaddyfile, "", " ")
	b, _ := json.MarshalIndent(fromYAML, "", " ")
	if !bytes.Equal(a, b) {
		t.Errorf("the Caddyfile says\n%s\nthe YAML says\n%s", a, b)
	}
	seen := map[string]bool{}
	var value any
	if err := json.Unmarshal(b, &value); err != nil {
		t.Fatal(err)
	}
	members(value, "", seen)
	for _, f := range fields(reflect.TypeFor[gateway.Config](), "") {
		word, _, _ := strings.Cut(f[1:], "/")
		if !seen[f] && gateway.NotForRoutes(word) == "" {
			t.Errorf("the two files do not have %s", f)
		}
	}
}
