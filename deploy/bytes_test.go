package deploy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/sallyport-auth/sallyport/deploy"
)

// Traefik and Envoy are not run here. Their requests are written as their manuals
// say, byte for byte, and what they do with an answer is done here with the very
// lists of the files.

// exchange sends bytes to the gateway and reads its answer.
func exchange(t *testing.T, w *world, request string) *answer {
	t.Helper()
	c, err := net.Dial("tcp", w.gateway)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, res)
}

// fitted returns a file of a proxy as a tree.
func fitted(t *testing.T, proxy, name string) map[string]any {
	t.Helper()
	files, err := deploy.Files(proxy, deploy.Site{Portal: portalHost})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Path, "/"+name) {
			var tree map[string]any
			if err := yaml.Unmarshal([]byte(f.Text), &tree); err != nil {
				t.Fatal(err)
			}
			return tree
		}
	}
	t.Fatalf("%s has no %s", proxy, name)
	return nil
}

// at walks a tree: names of maps, numbers of lists.
func at(t *testing.T, tree any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch s := step.(type) {
		case string:
			tree = tree.(map[string]any)[s]
		case int:
			tree = tree.([]any)[s]
		}
	}
	if tree == nil {
		t.Fatalf("nothing at %v", path)
	}
	return tree
}

func texts(list any) []string {
	var out []string
	for _, v := range list.([]any) {
		out = append(out, v.(string))
	}
	return out
}

// client headers of the questions below: a browser with a cookie, and forgeries.
func forgeries(cookie string) [][2]string {
	list := [][2]string{{"User-Agent", "Mozilla/5.0"}, {"Accept", "text/html"}, {"Cookie", "a=1; " + cookie}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Site", "none"}}
	for _, name := range identityNames() {
		list = append(list, [2]string{name, evil})
	}
	return list
}

// traefik is forwardAuth with the middleware of dynamic.yml: what it sends, and
// what the application gets after a 2xx. With trustForwardHeader off Traefik
// writes the five headers itself; X-Forwarded-Port, -Server and X-Real-Ip come
// from its entry point.
func traefik(t *testing.T, w *world, method, uri string, client [][2]string) (*answer, http.Header) {
	t.Helper()
	middleware := at(t, fitted(t, "traefik", "dynamic.yml"), "http", "middlewares", "sallyport", "forwardAuth")
	if at(t, middleware, "trustForwardHeader") != false {
		t.Fatal("trustForwardHeader must be off")
	}
	var q strings.Builder
	fmt.Fprintf(&q, "GET /sallyport/authz/forward-auth HTTP/1.1\r\nHost: %s\r\n", w.gateway)
	for _, h := range client {
		fmt.Fprintf(&q, "%s: %s\r\n", h[0], h[1])
	}
	fmt.Fprintf(&q, "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Host: %s:%s\r\nX-Forwarded-Method: %s\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Server: traefik-0\r\nX-Forwarded-Uri: %s\r\nX-Real-Ip: 203.0.113.9\r\nAccept-Encoding: gzip\r\n\r\n", appHost, w.port, method, uri)
	a := exchange(t, w, q.String())
	if a.status/100 != 2 {
		return a, nil
	}
	got := http.Header{}
	for _, h := range client {
		got.Add(h[0], h[1])
	}
	list := texts(at(t, middleware, "authResponseHeaders"))
	for _, name := range list {
		got.Del(name)
		if v := a.header.Values(name); len(v) > 0 {
			got[textproto.CanonicalMIMEHeaderKey(name)] = v
		}
	}
	pattern := regexp.MustCompile(at(t, middleware, "authResponseHeadersRegex").(string))
	for name := range got {
		if pattern.MatchString(name) {
			got.Del(name)
		}
	}
	for name, v := range a.header {
		if pattern.MatchString(name) {
			got[name] = v
		}
	}
	return a, got
}

// envoy is ext_authz with the filter of envoy.yaml.
func envoy(t *testing.T, w *world, method, uri string, client [][2]string) (*answer, http.Header) {
	t.Helper()
	manager := at(t, fitted(t, "envoy", "envoy.yaml"), "static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config")
	filter := at(t, manager, "http_filters", 0, "typed_config")
	got := http.Header{}
	removed := map[string]bool{}
	for _, m := range at(t, manager, "early_header_mutation_extensions", 0, "typed_config", "mutations").([]any) {
		removed[m.(map[string]any)["remove"].(string)] = true
	}
	var q strings.Builder
	fmt.Fprintf(&q, "%s %s%s HTTP/1.1\r\nhost: %s:%s\r\ncontent-length: 0\r\n", method, at(t, filter, "http_service", "path_prefix"), uri, appHost, w.port)
	for _, h := range append(client, [2]string{"x-forwarded-proto", "https"}, [2]string{"x-forwarded-for", "203.0.113.9"}, [2]string{"x-request-id", "6a3e7f0e"}, [2]string{"x-envoy-external-address", "203.0.113.9"}) {
		name := strings.ToLower(h[0])
		if removed[name] || strings.Contains(name, "_") { // headers_with_underscores_action: DROP_HEADER
			continue
		}
		got.Add(name, h[1])
		if name == "authorization" || matches(t, at(t, filter, "allowed_headers", "patterns"), name) {
			fmt.Fprintf(&q, "%s: %s\r\n", name, h[1])
		}
	}
	q.WriteString("\r\n")
	a := exchange(t, w, q.String())
	if a.status != 200 {
		// Only these go on to the client.
		kept := http.Header{}
		for name, v := range a.header {
			if matches(t, at(t, filter, "http_service", "authorization_response", "allowed_client_headers", "patterns"), strings.ToLower(name)) {
				kept[name] = v
			}
		}
		a.header = kept
		return a, nil
	}
	for name, v := range a.header {
		if matches(t, at(t, filter, "http_service", "authorization_response", "allowed_upstream_headers", "patterns"), strings.ToLower(name)) {
			got[name] = v
		}
	}
	return a, got
}

// matches is a list of Envoy's string matchers.
func matches(t *testing.T, patterns any, name string) bool {
	t.Helper()
	return slices.ContainsFunc(patterns.([]any), func(p any) bool {
		for kind, value := range p.(map[string]any) {
			switch kind {
			case "exact":
				return name == value
			case "prefix":
				return strings.HasPrefix(name, value.(string))
			case "safe_regex":
				return regexp.MustCompile("^(?:" + at(t, value, "regex").(string) + ")$").MatchString(name)
			default:
				t.Fatalf("no matcher of Envoy's: %s", kind)
			}
		}
		return false
	})
}

func TestTraefikAndEnvoyByteForByte(t *testing.T) {
	w := nginx(t) // its gateway; nginx is not asked
	for name, proxy := range map[string]func(*testing.T, *world, string, string, [][2]string) (*answer, http.Header){"traefik": traefik, "envoy": envoy} {
		t.Run(name, func(t *testing.T) {
			// Nobody: the portal.
			a, _ := proxy(t, w, "GET", "/report?x=1", forgeries("b=2"))
			if l := a.header.Get("Location"); a.status != 302 || !strings.HasPrefix(l, "https://"+portalHost+":"+w.port+"/sallyport/login?") {
				t.Errorf("a stranger: %d to %q", a.status, l)
			}
			a, _ = proxy(t, w, "POST", "/report", forgeries("b=2"))
			if a.status != 303 {
				t.Errorf("a stranger's form: %d", a.status)
			}
			a, _ = proxy(t, w, "GET", "/api", [][2]string{{"Accept", "application/json"}})
			if a.status != 401 || a.header.Get("Location") == "" || a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("a program: %d %v", a.status, a.header)
			}
			// Somebody: identity is ours, and none of the client's.
			a, got := proxy(t, w, "GET", "/admin/x?y=%2f", append(forgeries(w.session(t, "alice")), [2]string{"Authorization", "Basic Zm9yZWlnbjp4"}))
			if got == nil || got.Get("Remote-User") != "alice" || got.Get("Remote-Groups") != "ops,staff" || got.Get("Cookie") != "a=1" {
				t.Fatalf("alice: %d %v", a.status, got)
			}
			for name, values := range got {
				if strings.Contains(fmt.Sprint(values), evil) {
					t.Errorf("the application got %s: %q", name, values)
				}
			}
			if kept := got.Get("Authorization"); (kept == "Basic Zm9yZWlnbjp4") != (name == "envoy") {
				t.Errorf("a foreign Authorization: %q", kept)
			}
			// Somebody without groups, and a public page.
			if _, got := proxy(t, w, "GET", "/", forgeries(w.session(t, "bob"))); got.Get("Remote-User") != "bob" || got.Get("Remote-Groups") != "" {
				t.Errorf("bob: %v", got)
			}
			if _, got := proxy(t, w, "GET", "/public/x", forgeries("b=2")); got == nil || got.Get("Remote-User") != "" || strings.Contains(fmt.Sprint(got), evil) {
				t.Errorf("a public page: %v", got)
			}
			// Refusals arrive as they are.
			for target, status := range map[string]int{"/admin/x": 403, "/public/..%2fadmin/x": 400, "/network/x": 403} {
				if a, _ := proxy(t, w, "GET", target, forgeries(w.session(t, "bob"))); a.status != status {
					t.Errorf("%s: %d, want %d", target, a.status, status)
				}
			}
			// A spelling that the proxy does not remove.
			for _, spelled := range []string{"Remote.User", "RemoteUser", "X.Forwarded.User", "X-Forwarded.User"} {
				if a, got := proxy(t, w, "GET", "/x", append([][2]string{{"Cookie", w.session(t, "bob")}}, [2]string{spelled, evil})); got != nil || a.status != 403 {
					t.Errorf("%s: %d", spelled, a.status)
				}
			}
			if a, got := proxy(t, w, "GET", "/x", [][2]string{{"Cookie", w.session(t, "bob")}, {"Remote_User", evil}}); got != nil && got.Get("Remote_User") != "" {
				t.Errorf("Remote_User: %d %v", a.status, got)
			}
		})
	}
}

// The labels say what the file says.
func TestTraefikLabelsAreTheFile(t *testing.T) {
	files, err := deploy.Files("traefik", deploy.Site{Portal: portalHost, Hosts: []string{"a.example.com", "*.b.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	file, labels := files[0].Text, strings.ReplaceAll(files[1].Text, "$$", "$")
	for _, m := range regexp.MustCompile(`(?:rule|authResponseHeadersRegex): "(.*)"`).FindAllStringSubmatch(file, -1) {
		if !strings.Contains(labels, "="+m[1]+`"`) {
			t.Errorf("the labels lack %s", m[1])
		}
	}
}
