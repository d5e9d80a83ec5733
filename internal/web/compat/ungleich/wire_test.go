package ungleich_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/web/compat/ungleich"
)

// What the frameworks around the original answer: slashes, methods, types, bodies.
func TestTheWireOfEntries(t *testing.T) {
	h := newHouse(t, func(o *ungleich.Options) { o.AllowFrom = prefixes("127.0.0.0/8") }) // under every name
	asker := h.service("asker", askers)
	for _, path := range []string{"/ungleichotp", "/ungleichotp/verify", "/ungleichotp/1", "/ungleichotp/x?a=b&c=%2F"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			got := h.Do(method, path, "", "Host: evil.example")
			name, query, asked := strings.Cut(path, "?")
			if asked {
				query = "?" + query
			}
			if got.Status != 301 || got.Header.Get("Location") != name+"/"+query || got.Body != "" {
				t.Errorf("%s %s: %d to %q", method, path, got.Status, got.Header.Get("Location"))
			}
		}
	}
	for _, path := range []string{"/ungleichotp/1/2/", "/ungleichotp//", "/ungleichotp/1.json", "/ungleichotp/a/b"} {
		if got := h.Do("GET", path, ""); got.Status != 404 || got.Header.Get("Content-Type") != "text/html" {
			t.Errorf("%s: %d %v", path, got.Status, got.Header)
		}
	}
	for _, c := range []struct{ method, path, allow string }{
		{"GET", "/ungleichotp/verify/", "POST, OPTIONS"}, {"PUT", "/ungleichotp/verify/", "POST, OPTIONS"},
		{"DELETE", "/ungleichotp/", "GET, POST, HEAD, OPTIONS"}, {"PURGE", "/ungleichotp/1/", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"},
		{"POST", "/ungleichotp/1/", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"},
	} {
		got := h.Do(c.method, c.path, "")
		h.want(c.method+" "+c.path, got, 405, fmt.Sprintf(`{"detail":"Method \"%s\" not allowed."}`, c.method))
		if got.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s: Allow %q", c.method, c.path, got.Header.Get("Allow"))
		}
	}
	if got := h.Do("OPTIONS", "/ungleichotp/verify/", ""); got.Status != 200 || got.Header.Get("Allow") != "POST, OPTIONS" {
		t.Errorf("OPTIONS: %d %v", got.Status, got.Header)
	}
	const path = "/ungleichotp/verify/"
	for contentType, text := range map[string]string{"text/plain": "text/plain", "text/plain; charset=utf-8": "text/plain; charset=utf-8", "nonsense": "nonsense"} {
		h.want(contentType, h.Do("POST", path, `{}`, "Content-Type: "+contentType), 415, fmt.Sprintf(`{"detail":"Unsupported media type \"%s\" in request."}`, text))
	}
	h.want("no type", h.Do("POST", path, `{}`), 415, `{"detail":"Unsupported media type \"\" in request."}`)
	h.want("no type and nothing", h.Do("POST", path, ""), 403, wrong)
	h.want("another type and nothing", h.Do("POST", path, "", "Content-Type: text/plain"), 403, wrong)
	h.want("capitals and a charset", h.Do("POST", path, asker.early().json(), "Content-Type: application/JSON; charset=utf-8"), 400,
		`{"verifyname":`+required+`,"verifyrealm":`+required+`,"verifytoken":`+required+`}`)
	multi := "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nasker\r\n--b\r\nContent-Disposition: form-data; name=\"realm\"\r\n\r\n" + askers +
		"\r\n--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n" + asker.token() +
		"\r\n--b\r\nContent-Disposition: form-data; name=\"verifyname\"; filename=\"x\"\r\n\r\nasker\r\n--b--\r\n"
	h.want("multipart", h.Do("POST", path, multi, "Content-Type: multipart/form-data; boundary=b"), 400,
		`{"verifyname":["Not a valid string."],"verifyrealm":`+required+`,"verifytoken":`+required+`}`)
	h.want("multipart without a boundary", h.Do("POST", path, multi, "Content-Type: multipart/form-data"), 400,
		`{"detail":"Multipart form parse error - Invalid boundary in multipart: None"}`)
	large := `{"name":"` + strings.Repeat("x", 64<<10) + `"}`
	h.want("a large body", h.Do("POST", path, large, jsonIs), 413, `{"detail":"The body is larger than 64 KiB."}`)
	h.want("a large body for the older ages", h.Do("POST", "/verify", large, jsonIs), 413, `{"status":"FAIL","error":"The body is larger than 64 KiB."}`)
}

// Errors in JSON have the words of the original's parser.
func TestJSONErrors(t *testing.T) {
	h := newHouse(t, nil)
	for text, want := range map[string]string{
		`{`:                        `Expecting property name enclosed in double quotes: line 1 column 2 (char 1)`,
		`{"name"`:                  `Expecting ':' delimiter: line 1 column 8 (char 7)`,
		`{"name":`:                 `Expecting value: line 1 column 9 (char 8)`,
		`{"name":1`:                `Expecting ',' delimiter: line 1 column 10 (char 9)`,
		"{\n \"name\": 01}":        `Expecting ',' delimiter: line 2 column 11 (char 12)`,
		`{"name": "x`:              `Unterminated string starting at: line 1 column 10 (char 9)`,
		"{\"name\": \"\n\"}":       `Invalid control character at: line 1 column 11 (char 10)`,
		`{"name": "\x"}`:           `Invalid \\escape: line 1 column 11 (char 10)`,
		`{"name": "\u00g0"}`:       `Invalid \\uXXXX escape: line 1 column 12 (char 11)`,
		`{"a": "b"} x`:             `Extra data: line 1 column 12 (char 11)`,
		`nope`:                     `Expecting value: line 1 column 1 (char 0)`,
		`[1,`:                      `Expecting value: line 1 column 4 (char 3)`,
		`{"a": NaN}`:               `Out of range float values are not JSON compliant: 'NaN'`,
		"{\"name\": \"\xff\"}":     `'utf-8' codec can't decode byte 0xff in position 10: invalid start byte`,
		"{\"name\": \"\xc3\"}":     `'utf-8' codec can't decode byte 0xc3 in position 10: invalid continuation byte`,
		"{\"name\": \"\xe2\x82\"}": `'utf-8' codec can't decode bytes in position 10-11: invalid continuation byte`,
		"{\"name\": \"\xe2\x82":    `Unterminated string starting at: line 1 column 10 (char 9)`,
		"\ufeff{}":                 `Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)`,
		strings.Repeat("[", 5e4):   `maximum recursion depth exceeded`,
	} {
		got := h.Do("POST", "/ungleichotp/verify/", text, jsonIs)
		h.want(fmt.Sprintf("%.30q", text), got, 400, `{"detail":"JSON parse error - `+want+`"}`)
		if got := h.Do("POST", "/verify", text, jsonIs); got.Status != 400 || !strings.HasPrefix(got.Body, `{"status":"FAIL","error":"`) {
			t.Errorf("%.30q at the older ages: %d %s", text, got.Status, got.Body)
		}
	}
	for _, text := range []string{`[]`, `"x"`, `null`, `1.5e3`, `true`, ` {} `, "{}\xc3"} {
		h.want(text, h.Do("POST", "/ungleichotp/verify/", text, jsonIs), 403, wrong)
	}
	// Of two keys the last counts, and escapes are what they stand for.
	asker := h.service("asker", askers)
	text := fmt.Sprintf(`{"name":"x","na\u006de":"ask\u0065r","realm":%q,"token":%q,"deep":{"a":[{},[1,-0.5e-3]]},"verifyname":"\ud83d\ude00\ud800","verifyrealm":"a"}`, askers, asker.token())
	h.want("the last key", h.Do("POST", "/ungleichotp/verify/", text, jsonIs), 400, `{"verifytoken":`+required+`}`)
}

// A number out of range is a text with its sign.
func TestInfiniteNames(t *testing.T) {
	h := newHouse(t, nil)
	root := h.service("root", admins)
	for number, name := range map[string]string{"-1e999": "-inf", "1e999": "inf"} {
		body := strings.Replace(root.late().and("name", "NUMBER", "realm", others).json(), `"NUMBER"`, number, 1)
		if got := h.Do("POST", "/ungleichotp/", body, jsonIs); got.Status != 201 || !strings.Contains(got.Body, `"name":"`+name+`"`) {
			t.Errorf("%s: %d %s", number, got.Status, got.Body)
		}
	}
}

// The ages A and B have no slashes, and say what they refuse in their own form.
func TestTheWireOfApps(t *testing.T) {
	h := newHouse(t, nil)
	for _, path := range []string{"/verify/", "/register/", "/app/", "/app/register/", "/app/a/b", "/app/%zz"} {
		if strings.Contains(path, "%zz") {
			continue // no client sends it
		}
		h.want(path, h.Do("POST", path, "{}", jsonIs), 404, `{"status":"FAIL","error":"There is nothing at this path."}`)
	}
	for _, c := range []struct{ method, path, allow, names string }{
		{"GET", "/verify", "POST", "POST"}, {"DELETE", "/register", "POST", "POST"}, {"GET", "/app/register", "POST", "POST"},
		{"POST", "/app", "GET, HEAD", "GET"}, {"PUT", "/app/x", "GET, HEAD", "GET"}, {"OPTIONS", "/verify", "POST", "POST"},
	} {
		got := h.Do(c.method, c.path, "{}", jsonIs)
		h.want(c.method+" "+c.path, got, 405, `{"status":"FAIL","error":"This path takes `+c.names+` alone."}`)
		if got.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s: Allow %q", c.method, c.path, got.Header.Get("Allow"))
		}
	}
	for text, want := range map[string]int{"{": 400, "[]": 400, "null": 400, "{}": 200, "": 200} {
		if got := h.Do("POST", "/verify", text, jsonIs); got.Status != want || !strings.HasPrefix(got.Body, `{"status":"FAIL"`) {
			t.Errorf("%q: %d %s", text, got.Status, got.Body)
		}
	}
	for _, contentType := range []string{"text/plain", "multipart/form-data; boundary=b"} {
		if got := h.Do("POST", "/verify", "{}", "Content-Type: "+contentType); got.Status != 415 || !strings.HasPrefix(got.Body, `{"status":"FAIL","error":"`) {
			t.Errorf("%s: %d %s", contentType, got.Status, got.Body)
		}
	}
	h.want("no type", h.Do("POST", "/verify", "{}"), 200, failed)
	for _, path := range []string{"/verify", "/app", "/app/x", "/ungleichotp", "/ungleichotp/x", "/register"} {
		if !h.facade.Owns(path) {
			t.Errorf("%s is not owned", path)
		}
	}
	for _, path := range []string{"/", "/verifyx", "/apps", "/appx/y", "/admin/", "/api-auth/login", "/ungleichotpx", "/%76erify", "verify", ""} {
		if h.facade.Owns(path) {
			t.Errorf("%s is owned", path)
		}
	}
}
