package guard_test

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/guard"
)

// R1 (Authelia, CVE-2026-48794): a rule for a.example.com was missed by
// A.Example.Com, by a port or by a trailing dot, and the next rule let in.
func TestR1R3HostSpellings(t *testing.T) {
	for _, extra := range []int{0, 150} { // R3: matchers that change above 100 hosts
		rules := []guard.Rule{}
		for i := range extra {
			rules = append(rules, guard.Rule{Hosts: []string{fmt.Sprintf("h%d.example.org", i)}, Deny: true})
		}
		first := len(rules)
		rules = append(rules,
			guard.Rule{Hosts: []string{"a.Example.com"}, Realms: []string{"users"}},
			guard.Rule{Hosts: []string{"*.wild.example.com"}, Realms: []string{"users"}},
			guard.Rule{Hosts: []string{"bücher.example"}, Realms: []string{"users"}},
			guard.Rule{Hosts: []string{"::1", "192.0.2.1"}, Realms: []string{"users"}},
			guard.Rule{Hosts: []string{"my_app"}, Realms: []string{"users"}},
			guard.Rule{Hosts: []string{"*"}, Factors: num(0)})
		g := make_(t, everybody(), nil, rules...)
		for want, hosts := range map[int][]string{
			first + 1: {"a.example.com", "A.EXAMPLE.COM", "a.example.com.", "a.example.com:443", "A.example.com.:8443"},
			first + 2: {"x.wild.example.com", "X.y.WILD.example.com:1", "x.wild.example.com."},
			first + 3: {"bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "XN--BCHER-KVA.example:80", "bücher.example."},
			first + 4: {"[::1]", "[::1]:9091", "[0:0:0:0:0:0:0:1]", "[0000::0001]:1", "192.0.2.1", "192.0.2.1:80", "192.0.2.1."},
			first + 5: {"my_app", "MY_APP:3000"},
			first + 6: {"example.com", "wild.example.com", "xwild.example.com", "a.example.com.evil.test", "[::2]"},
		} {
			for _, host := range hosts {
				if d := g.Check(t.Context(), get(host, "/", "")); d.Rule != want {
					t.Errorf("%d more: %q selects rule %d (%v %s), want %d", extra, host, d.Rule, d.Outcome, d.Reason, want)
				}
			}
		}
		for _, host := range []string{"", ".", "a.example.com:", "a.example.com:x", "a.example.com:0", "a.example.com:99999", "a.example.com..", "a..example.com",
			"u@a.example.com", "a.example.com@evil.test", "a.example.com, evil.test", "a.example.com/x", `a.example.com\x`, "a example.com", "%61.example.com",
			"::1", "[::1", "[::1]x", "[::1%25eth0]", "[fe80::1%eth0]", "a.example.com\x00", "-a.example.com", "a-.example.com", "0x7f.1", "127.1", "1.2.3.4.5", "192.0.2.0x1", "xn--a",
			"a.example。com", "ａ.example.com", "a\u00adb.example.com", // only our tables map these: the upstream may not
			strings.Repeat("a", 64) + ".com", strings.Repeat("a.", 130) + "com", "a.example.com#", "a.example.com?"} {
			if d := g.Check(t.Context(), get(host, "/", "alice")); d.Outcome != guard.BadRequest {
				t.Errorf("%q: %v (rule %d), want a refusal", host, d.Outcome, d.Rule)
			}
		}
	}
}

// R2 (tinyauth, CVE-2026-77560): no entry for a host meant an empty,
// all-admitting one.
func TestR2UnknownHostIsDenied(t *testing.T) {
	g := make_(t, everybody(), nil,
		guard.Rule{Hosts: []string{"a.example.com"}, Factors: num(0)},
		guard.Rule{Hosts: []string{"*.b.example.com"}, Factors: num(0)})
	for _, host := range []string{"b.example.com", "example.com", "xa.example.com", "a.example.com.evil.test", "bb.example.com", "x.bb.example.com", "[::1]", "localhost"} {
		if d := g.Check(t.Context(), get(host, "/", "alice")); d.Outcome != guard.Deny || d.Reason != guard.ReasonNoRule {
			t.Errorf("%s: %v (%s)", host, d.Outcome, d.Reason)
		}
	}
}

// The most specific name does not win: the first rule does, wherever it stands.
func TestFirstRuleDecides(t *testing.T) {
	g := make_(t, everybody(), nil,
		guard.Rule{Hosts: []string{"deep.a.example.com"}, Paths: []string{"/only"}, Deny: true},
		guard.Rule{Hosts: []string{"*.example.com"}, Methods: []string{"POST"}, Deny: true},
		guard.Rule{Hosts: []string{"*"}, Networks: []string{"10.0.0.0/8"}, Factors: num(0)},
		guard.Rule{Hosts: []string{"*.a.example.com"}, Realms: []string{"users"}},
		guard.Rule{Hosts: []string{"*.example.com"}, Realms: []string{"staff"}},
		guard.Rule{Realms: []string{"admin"}})
	for _, c := range []struct {
		host, path, method, client string
		rule                       int
	}{
		{"deep.a.example.com", "/only", "GET", "203.0.113.7", 1},
		{"deep.a.example.com", "/other", "GET", "203.0.113.7", 4},
		{"deep.a.example.com", "/other", "POST", "203.0.113.7", 2},
		{"deep.a.example.com", "/other", "GET", "10.1.2.3", 3},
		{"deep.a.example.com", "/other", "GET", "::ffff:10.1.2.3", 3},
		{"b.example.com", "/", "GET", "203.0.113.7", 5},
		{"example.com", "/", "POST", "203.0.113.7", 6},
		{"example.com", "/", "POST", "10.0.0.1", 3},
	} {
		req := &guard.Request{Method: c.method, Host: c.host, Path: c.path, Client: netip.MustParseAddr(c.client)}
		if d := g.Check(t.Context(), req); d.Rule != c.rule {
			t.Errorf("%+v: rule %d (%s)", c, d.Rule, d.Reason)
		}
	}
	// A client that nobody knows is in no network.
	if d := g.Check(t.Context(), &guard.Request{Method: "GET", Host: "b.example.com", Path: "/"}); d.Rule != 5 {
		t.Errorf("no client: rule %d", d.Rule)
	}
}

// tricks are ways to write path target below an open prefix, or to write it so
// that a rule for it is missed. R5 (Oathkeeper, Traefik, go-authcrunch).
func tricks(open, target string) []string {
	up := open + "/.."
	enc := func(s string) string { // every letter escaped
		var b strings.Builder
		for i := range len(s) {
			if s[i] == '/' {
				b.WriteByte('/')
			} else {
				fmt.Fprintf(&b, "%%%02x", s[i])
			}
		}
		return b.String()
	}
	list := []string{
		up + target, open + "/%2e%2e" + target, open + "/%2E." + target, open + "/.%2e" + target, open + "/%252e%252e" + target,
		"/" + target, "//" + target, "/." + target, "/x/.." + target, target + "/.", target + "/", target + "/..", target + "/./", target + "//",
		target + "%2f..", target + "%2F", target + "%252f", enc(target), target + ";x=1", target + ";", "/;a" + target, target + `\`, `\` + target[1:], `/\` + target[1:],
		"/" + strings.ToUpper(target[1:]), "/" + strings.ToUpper(target[1:2]) + target[2:], "/%2f" + target[1:], "/%5c" + target[1:],
		open + `\..\` + target[1:], open + "/%5c..%5c" + target[1:], open + "/..;" + target, open + "/..;x=1" + target, open + "/%2e%2e;" + target, open + "/..%3b" + target,
		target + "%00", target + "%2500", target + "\x00", target + "%0a", target + "%09", target + "%", target + "%2", target + "%zz", target + "%c0%af", open + "/%c0%ae%c0%ae" + target,
		target + "%23", target + "#x", target + "%3fx", target + "?", target + "%20", target + "%2e", open + "/..//.." + target,
		open + "/.." + target + "//.." + open, target + ";/.." + open, target + "/.." + open, target + "/..;/.." + open, "/%u002e%u002e" + target,
		"/" + strings.Replace(target[1:], target[1:2], fmt.Sprintf("%%25%02x", target[1]), 1),
	}
	return list
}

// reading is what an upstream makes of a path; one that folds case has its
// resources under every spelling.
type reading struct {
	path string
	fold bool
}

// What upstreams are known to make of a path, each of them on its own.
func upstreams(path string) []reading {
	decoded := []string{path}
	for range 2 {
		for _, p := range slices.Clone(decoded) {
			if d, err := url.PathUnescape(p); err == nil {
				decoded = append(decoded, d)
			}
		}
	}
	out := decoded
	for _, p := range decoded {
		before, _, _ := strings.Cut(p, ";")
		for _, q := range []string{p, strings.ReplaceAll(p, `\`, "/"), before, cutEach(p)} {
			out = append(out, q, naiveClean(q), naiveClean(squeeze(q)), squeeze(naiveClean(q)), naiveClean(cutEach(q)), naiveClean(squeeze(cutEach(strings.ReplaceAll(q, `\`, "/")))))
		}
	}
	for _, p := range slices.Clone(out) {
		if i := strings.IndexAny(p, "?#"); i > 0 {
			out = append(out, p[:i])
		}
	}
	var all []reading
	for _, p := range out {
		all = append(all, reading{p, false}, reading{p, true})
	}
	return all
}

func cutEach(p string) string {
	parts := strings.Split(p, "/")
	for i, s := range parts {
		parts[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(parts, "/")
}

func squeeze(p string) string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	return p
}

// naiveClean is RFC 3986 section 5.2.4, letter by letter.
func naiveClean(in string) string {
	out := ""
	for in != "" {
		switch {
		case strings.HasPrefix(in, "../"):
			in = in[3:]
		case strings.HasPrefix(in, "./"):
			in = in[2:]
		case strings.HasPrefix(in, "/./"):
			in = in[2:]
		case in == "/.":
			in = "/"
		case strings.HasPrefix(in, "/../"), in == "/..":
			in = "/" + strings.TrimPrefix(in[3:], "/")
			out = out[:max(strings.LastIndex(out, "/"), 0)]
		case in == "." || in == "..":
			in = ""
		default:
			end := strings.Index(in[1:], "/") + 1
			if end == 0 {
				end = len(in)
			}
			out, in = out+in[:end], in[end:]
		}
	}
	return out
}

// modelRule is the rule that an upstream with this reading would have wanted.
func modelRule(rules []guard.Rule, seen reading) int {
	same, path := func(s string) string { return s }, seen.path
	if seen.fold {
		same, path = strings.ToLower, strings.ToLower(path)
	}
	for i, r := range rules {
		if len(r.Paths) == 0 {
			return i + 1
		}
		for _, p := range r.Paths {
			prefix, isPrefix := strings.CutSuffix(same(p), "*")
			if path == same(p) || isPrefix && (strings.HasPrefix(path, prefix) || path+"/" == prefix) {
				return i + 1
			}
		}
	}
	return 0
}

func pathRules() []guard.Rule {
	return []guard.Rule{
		{Paths: []string{"/admin/*", "/exact"}, Realms: []string{"admin"}},
		{Paths: []string{"/public/*"}, Factors: num(0)},
		{Paths: []string{"/Mixed/*"}, Deny: true},
		{Realms: []string{"users"}},
	}
}

// R5, R6: rule and upstream read a path differently. For every trick: the
// decision is the one for whatever any upstream reads, or 400.
func TestR5PathViews(t *testing.T) {
	rules := pathRules()
	g := make_(t, everybody(), nil, rules...)
	refused := 0
	// R3: the same among 150 hosts that rules name.
	many := slices.Clone(rules)
	for i := range 150 {
		many = append(many, guard.Rule{Hosts: []string{fmt.Sprintf("h%d.example", i)}, Deny: true})
	}
	crowd := make_(t, everybody(), nil, many...)
	for _, target := range []string{"/admin", "/admin/users", "/exact", "/public/x", "/Mixed/a", "/home"} {
		for _, open := range []string{"/public", "/public/a", "/home"} {
			for _, path := range tricks(open, target) {
				d := g.Check(t.Context(), get("a.example", path, ""))
				if e := crowd.Check(t.Context(), get("H7.example", path, "")); e.Outcome != d.Outcome || e.Rule != d.Rule {
					t.Errorf("%q: rule %d among many hosts, rule %d among few", path, e.Rule, d.Rule)
				}
				if d.Outcome == guard.BadRequest {
					refused++
					continue
				}
				for _, seen := range upstreams(path) {
					if want := modelRule(rules, seen); want != d.Rule {
						t.Errorf("%q: rule %d decided, but an upstream that reads %+v needs rule %d", path, d.Rule, seen, want)
					}
				}
			}
		}
	}
	if refused < 100 {
		t.Errorf("only %d tricks were refused: the table has lost its teeth", refused)
	}
}

// The exact samples of R5, R6 and R4, so that what they get is seen.
func TestR5Samples(t *testing.T) {
	g := make_(t, everybody(), nil, pathRules()...)
	for path, want := range map[string]guard.Outcome{
		"/public/../admin": guard.BadRequest, "/public/%2e%2e/admin": guard.BadRequest, "//admin": guard.BadRequest, "/admin/.": guard.Challenge,
		"/admin%2f..": guard.BadRequest, "/%61dmin": guard.BadRequest, "/admin;x=1": guard.BadRequest, `/admin\`: guard.BadRequest, "/%2561dmin": guard.BadRequest,
		"/admin%00": guard.BadRequest, "/Admin": guard.BadRequest, "/admin/%41": guard.Challenge, "/admin/a;b": guard.Challenge, "/admin//x": guard.Challenge,
		"/public/secret%23/../../admin": guard.BadRequest, "/public": guard.Allow, "/public/": guard.Allow, "/publicity": guard.Challenge, "/public/%20x": guard.Allow,
		"/public/100%25": guard.Allow, "/public/a%2Fb": guard.Allow, "/public/%E9": guard.Allow, "/public/é": guard.Allow, "/public/Readme.MD": guard.Allow,
		"/admin/%zz": guard.BadRequest, "/admin/\x01": guard.BadRequest, "": guard.BadRequest, "admin": guard.BadRequest, "*": guard.BadRequest, `\admin`: guard.BadRequest,
		"/public/.well-known/x": guard.Allow, "/public/..hidden": guard.Allow, "/public/%252e%252e/admin": guard.BadRequest, "/public/..;/admin": guard.BadRequest,
		// Slashes merged or not before dots are resolved: two upstreams, two resources.
		"/public/../admin//../public/x": guard.BadRequest,
	} {
		if d := g.Check(t.Context(), get("a.example", path, "")); d.Outcome != want {
			t.Errorf("%q: %v (rule %d, %s), want %v", path, d.Outcome, d.Rule, d.Reason, want)
		}
	}
}

// Where no rule of the host looks at paths, no path is refused: the rule is the
// same whatever it means.
func TestPathsThatNobodyLooksAt(t *testing.T) {
	g := make_(t, everybody(), nil,
		guard.Rule{Hosts: []string{"b.example"}, Paths: []string{"/x"}, Deny: true},
		guard.Rule{Hosts: []string{"a.example"}, Realms: []string{"users"}})
	for _, path := range []string{"/%00", "/a/../b", "/%zz", "/A;b"} {
		if d := g.Check(t.Context(), get("a.example", path, "alice")); d.Outcome != guard.Allow {
			t.Errorf("%q: %v (%s)", path, d.Outcome, d.Reason)
		}
	}
}

// R4 (oauth2-proxy, CVE-2025-54576): /secret?x=/public matched an open regex.
// A path with a query in it does not reach the guard; one that has an escaped
// question mark is read both ways.
func TestR4QueryTakesNoPart(t *testing.T) {
	g := make_(t, everybody(), nil,
		guard.Rule{Paths: []string{"regex:.*/public"}, Factors: num(0)},
		guard.Rule{Realms: []string{"users"}})
	for path, want := range map[string]guard.Outcome{
		"/secret": guard.Challenge, "/secret?x=/public": guard.BadRequest, "/secret%3Fx=/public": guard.BadRequest, "/secret%253Fx=/public": guard.BadRequest,
		"/secret#/public": guard.BadRequest, "/secret%23/public": guard.BadRequest, "/x/public": guard.Allow,
	} {
		if d := g.Check(t.Context(), get("a.example", path, "")); d.Outcome != want {
			t.Errorf("%q: %v (%s)", path, d.Outcome, d.Reason)
		}
	}
}

// R6 (oauth2-proxy, CVE-2026-41059): /foo/secret%23/bar passed as /foo/…/bar.
func TestR6Fragment(t *testing.T) {
	g := make_(t, everybody(), nil,
		guard.Rule{Paths: []string{"regex:^/foo/.*/bar$"}, Factors: num(0)},
		guard.Rule{Realms: []string{"users"}})
	for _, path := range []string{"/foo/secret%23/bar", "/foo/secret#/bar", "/foo/secret%2523/bar"} {
		if d := g.Check(t.Context(), get("a.example", path, "")); d.Outcome == guard.Allow {
			t.Errorf("%q was let in", path)
		}
	}
	if d := g.Check(t.Context(), get("a.example", "/foo/x/bar", "")); d.Outcome != guard.Allow {
		t.Errorf("the rule itself: %v", d.Outcome)
	}
}

// R7 (tinyauth), R8 (Caddy): an unanchored regex, a prefix without its border.
func TestR7R8Anchors(t *testing.T) {
	g := make_(t, everybody(), nil,
		guard.Rule{Paths: []string{"regex:/v[0-9]+/open", "regex:/a|/b"}, Factors: num(0)},
		guard.Rule{Paths: []string{"/pki/ca/prod/*"}, Factors: num(0)},
		guard.Rule{Realms: []string{"users"}})
	for path, open := range map[string]bool{
		"/v1/open": true, "/v22/open": true, "/v1/openx": false, "/x/v1/open": false, "/v1/open/x": false, "/a": true, "/b": true, "/ab": false, "/b/x": false,
		"/pki/ca/prod": true, "/pki/ca/prod/": true, "/pki/ca/prod/x": true, "/pki/ca/prod-backup": false, "/pki/ca/production": false, "/pki/ca": false,
	} {
		if d := g.Check(t.Context(), get("a.example", path, "")); (d.Outcome == guard.Allow) != open {
			t.Errorf("%q: %v", path, d.Outcome)
		}
	}
}

// R9 (gatekeeper, CVE-2020-14359): a denial of GET that get walked around.
func TestR9Methods(t *testing.T) {
	g := make_(t, everybody(), nil,
		guard.Rule{Hosts: []string{"a.example"}, Methods: []string{"GET", "PROPFIND"}, Deny: true},
		guard.Rule{Hosts: []string{"a.example", "b.example"}, Realms: []string{"users"}})
	for method, want := range map[string]guard.Outcome{
		"GET": guard.Deny, "PROPFIND": guard.Deny, "HEAD": guard.Allow, "POST": guard.Allow, "FOO": guard.Allow, "M-SEARCH": guard.Allow,
		"get": guard.BadRequest, "Get": guard.BadRequest, "gET": guard.BadRequest, "": guard.BadRequest, "G ET": guard.BadRequest, "GET,POST": guard.BadRequest,
		"CONNECT": guard.MethodNotAllowed, "TRACE": guard.MethodNotAllowed, "connect": guard.BadRequest, "GÉT": guard.BadRequest,
	} {
		for _, host := range []string{"a.example", "b.example"} {
			if host == "b.example" && want == guard.Deny {
				continue
			}
			req := get(host, "/", "alice")
			req.Method = method
			d := g.Check(t.Context(), req)
			if d.Outcome != want {
				t.Errorf("%s %q: %v (%s), want %v", host, method, d.Outcome, d.Reason, want)
			}
			if want == guard.Allow && d.MethodAware != (host == "a.example") {
				t.Errorf("%s %q: method aware %v", host, method, d.MethodAware)
			}
		}
	}
}

// A rule that cannot be read names its number, its field and what was
// expected.
func TestCompileErrors(t *testing.T) {
	for _, c := range []struct {
		rule  guard.Rule
		field string
		want  string
	}{
		{guard.Rule{Hosts: []string{"a.example.com:80"}}, "hosts", "without a port"},
		{guard.Rule{Hosts: []string{"https://a"}}, "hosts", "host name"},
		{guard.Rule{Hosts: []string{"a.*.com"}}, "hosts", "*.example.com"},
		{guard.Rule{Hosts: []string{"*a.com"}}, "hosts", "host name"},
		{guard.Rule{Hosts: []string{""}}, "hosts", "host name"},
		{guard.Rule{Paths: []string{"admin"}}, "paths", "/exact"},
		{guard.Rule{Paths: []string{"/a*"}}, "paths", "/prefix/*"},
		{guard.Rule{Paths: []string{"/a/*/b"}}, "paths", "/prefix/*"},
		{guard.Rule{Paths: []string{"/a?x"}}, "paths", "query"},
		{guard.Rule{Paths: []string{"/a/../b"}}, "paths", "clean"},
		{guard.Rule{Paths: []string{"/%61"}}, "paths", "clean"},
		{guard.Rule{Paths: []string{"//a"}}, "paths", "clean"},
		{guard.Rule{Paths: []string{"/a;b"}}, "paths", "clean"},
		{guard.Rule{Paths: []string{"regex:("}}, "paths", "regular expression"},
		{guard.Rule{Paths: []string{"regex:a)|(b"}}, "paths", "regular expression"},
		{guard.Rule{Methods: []string{"get"}}, "methods", "upper case"},
		{guard.Rule{Methods: []string{"CONNECT"}}, "methods", "CONNECT"},
		{guard.Rule{Networks: []string{"10.0.0.0/33"}}, "networks", "10.0.0.0/8"},
		{guard.Rule{Networks: []string{"::ffff:10.0.0.0/104"}}, "networks", "10.0.0.0/8"},
		{guard.Rule{Networks: []string{"localhost"}}, "networks", "prefix"},
		{guard.Rule{Realms: []string{"nowhere"}}, "realms", "exists"},
		{guard.Rule{Realms: []string{"a@b"}}, "realms", "realm"},
		{guard.Rule{Realms: []string{"users"}, Users: []string{"bob@staff"}}, "users", "own realms"},
		{guard.Rule{Users: []string{"bob@nowhere"}}, "users", "exists"},
		{guard.Rule{Services: []string{"deploy"}}, "services", "name@realm"},
		{guard.Rule{Services: []string{"*@staff"}}, "services", `"@staff" names all services of that realm`},
		{guard.Rule{Services: []string{"de*@staff"}}, "services", `"@staff" names all services of that realm`},
		{guard.Rule{Services: []string{"*"}}, "services", "name@realm"},
		{guard.Rule{Groups: []string{"a,b"}}, "groups", "group"},
		{guard.Rule{Realms: []string{"users"}, Factors: num(3)}, "factors", "0, 1 or 2"},
		{guard.Rule{Realms: []string{"users"}, Factors: num(-1)}, "factors", "0, 1 or 2"},
		{guard.Rule{Realms: []string{"users"}, Factors: num(1), Fresh: 1}, "fresh", "factors 2"},
		{guard.Rule{Realms: []string{"users"}, Fresh: -1}, "fresh", "positive"},
		{guard.Rule{Factors: num(0), Groups: []string{"ops"}}, "factors", "everybody"},
		{guard.Rule{Deny: true, Realms: []string{"users"}}, "deny", "whoever"},
		{guard.Rule{Realms: []string{"users"}, Headers: "x-user"}, "headers", "x-auth-request"},
		{guard.Rule{Realms: []string{"users"}, Assertion: "rs256"}, "assertion", "es256"},
		{guard.Rule{Realms: []string{"users"}, Preflight: "maybe"}, "preflight", "pass"},
		{guard.Rule{Realms: []string{"users"}, UserHeader: "full"}, "user_header", "bare"},
	} {
		_, err := guard.Compile([]guard.Rule{{Factors: num(0)}, c.rule}, guard.CompileOptions{Realms: []string{"users", "staff"}})
		if err == nil {
			t.Errorf("%+v compiled", c.rule)
			continue
		}
		if text := err.Error(); !strings.HasPrefix(text, "rule 2: "+c.field+": ") || !strings.Contains(text, c.want) {
			t.Errorf("%+v: %q, want field %s and %q", c.rule, text, c.field, c.want)
		}
	}
}

// FuzzCheckPath compares the decision with a naive model of upstreams.
func FuzzCheckPath(f *testing.F) {
	for _, target := range []string{"/admin", "/public/x", "/exact"} {
		for _, path := range tricks("/public", target) {
			f.Add(path)
		}
	}
	rules := pathRules()
	compiled, err := guard.Compile(rules, guard.CompileOptions{})
	if err != nil {
		f.Fatal(err)
	}
	g, err := guard.New(guard.Options{Rules: compiled, Sessions: everybody()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		d := g.Check(t.Context(), get("a.example", path, ""))
		if d.Outcome == guard.BadRequest {
			return
		}
		for _, seen := range upstreams(path) {
			if want := modelRule(rules, seen); want != d.Rule {
				t.Fatalf("%q: rule %d decided, an upstream that reads %+v needs rule %d", path, d.Rule, seen, want)
			}
		}
	})
}

// FuzzCanonicalHost: what comes out is canonical, and one reading alone.
func FuzzCanonicalHost(f *testing.F) {
	for _, s := range []string{"a.example", "A.b:1", "[::1]:2", "bücher.example", "xn--bcher-kva.example", "1.2.3.4", "a_b", "a.example.", "ａ.example", "x@y", "[::ffff:1.2.3.4]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, err := guard.CanonicalHost(s)
		if err != nil {
			return
		}
		again, err := guard.CanonicalHost(host)
		if err != nil || again != host {
			t.Fatalf("%q became %q, which becomes %q (%v)", s, host, again, err)
		}
		if host == "" || strings.ContainsAny(host, "@/\\?#%, \t") || strings.ToLower(host) != host || strings.HasSuffix(host, ".") {
			t.Fatalf("%q became %q", s, host)
		}
		u, err := url.Parse("https://" + host + "/x")
		if err != nil || u.Host != host || u.Port() != "" {
			t.Fatalf("%q became %q, which net/url reads as %v (%v)", s, host, u, err)
		}
	})
}
