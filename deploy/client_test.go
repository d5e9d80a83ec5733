package deploy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// dial connects to the proxy, whatever the name.
func (w *world) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+w.port)
}

// client is a program that follows no redirects and has no cookies.
func (w *world) client() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DialContext: w.dial, TLSClientConfig: &tls.Config{RootCAs: authorities}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       30 * time.Second,
	}
}

// h2 is the same over HTTP/2.
func (w *world) h2() *http.Client {
	c := w.client()
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	c.Transport.(*http.Transport).DisableKeepAlives = false
	return c
}

func (w *world) url(host, target string) string { return "https://" + host + ":" + w.port + target }

// page is how a browser asks for one.
var page = http.Header{"Accept": {"text/html,application/xhtml+xml"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"none"}, "Sec-Fetch-Dest": {"document"}}

// answer is what came back, read.
type answer struct {
	status int
	header http.Header
	body   string
	app    *reached // nil: the application was not reached
}

func read(t *testing.T, res *http.Response) *answer {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := &answer{status: res.StatusCode, header: res.Header, body: string(body)}
	if res.Header.Get("X-Application") != "" {
		a.app = &reached{}
		if len(body) > 0 {
			if err := json.Unmarshal(body, a.app); err != nil {
				t.Fatalf("%v: %.200s", err, body)
			}
		}
	}
	return a
}

// ask sends one request. header has exact names, and Cookie among them.
func (w *world) ask(t *testing.T, c *http.Client, method, host, target string, header http.Header, body string) *answer {
	t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, w.url(host, target), in)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s%s: %v", method, host, target, err)
	}
	return read(t, res)
}

func (w *world) get(t *testing.T, host, target string, header http.Header) *answer {
	t.Helper()
	return w.ask(t, w.client(), "GET", host, target, header, "")
}

// raw sends bytes over TLS and reads one answer; nil: the proxy hung up.
func (w *world) raw(t *testing.T, request string) *answer {
	t.Helper()
	c, err := tls.Dial("tcp", "127.0.0.1:"+w.port, &tls.Config{RootCAs: authorities, ServerName: appHost})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		return nil
	}
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return nil
	}
	return read(t, res)
}

// rawGet is a GET of a raw target.
func (w *world) rawGet(t *testing.T, host, target string, lines ...string) *answer {
	t.Helper()
	return w.raw(t, "GET "+target+" HTTP/1.1\r\nHost: "+host+":"+w.port+"\r\nConnection: close\r\n"+strings.Join(append(lines, "", ""), "\r\n"))
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// jar is a browser: it keeps cookies.
func (w *world) jar(t *testing.T) *http.Client {
	t.Helper()
	c := w.client()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Jar = jar
	return c
}

// follow asks for a page as a browser does.
func (w *world) follow(t *testing.T, c *http.Client, target string) *answer {
	t.Helper()
	r, err := http.NewRequest("GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = page.Clone()
	res, err := c.Do(r)
	if err != nil {
		t.Fatalf("GET %s: %v", target, err)
	}
	return read(t, res)
}

// submit sends the form of a page with these fields, to the page's own address.
func (w *world) submit(t *testing.T, c *http.Client, from string, shown *answer, more map[string]string) *answer {
	t.Helper()
	at, err := url.Parse(from)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(shown.body, -1) {
		form.Set(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	for name, value := range more {
		form.Set(name, value)
	}
	r, err := http.NewRequest("POST", at.Scheme+"://"+at.Host+at.Path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {at.Scheme + "://" + at.Host}, "Accept": {"text/html"},
		"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"same-origin"}}
	res, err := c.Do(r)
	if err != nil {
		t.Fatalf("POST %s: %v", at.Path, err)
	}
	return read(t, res)
}

// signIn passes both doors from a challenge's Location and returns where the
// portal sends the browser to.
func (w *world) signIn(t *testing.T, c *http.Client, login string, p person, code string) string {
	t.Helper()
	shown := w.follow(t, c, login)
	if shown.status != 200 {
		t.Fatalf("the login page: %d %.300s", shown.status, shown.body)
	}
	first := w.submit(t, c, login, shown, map[string]string{"username": p.name, "password": p.password})
	next := w.absolute(login, first.header.Get("Location"))
	if first.status != 303 || !strings.Contains(next, "/sallyport/login/code") {
		t.Fatalf("the first door: %d to %q %.300s", first.status, next, first.body)
	}
	shown = w.follow(t, c, next)
	second := w.submit(t, c, next, shown, map[string]string{"code": code})
	if second.status != 303 {
		t.Fatalf("the second door: %d %.300s", second.status, second.body)
	}
	return w.absolute(login, second.header.Get("Location"))
}

func (w *world) absolute(base, target string) string {
	b, err := url.Parse(base)
	if err != nil {
		return target
	}
	u, err := b.Parse(target)
	if err != nil {
		return target
	}
	return u.String()
}

// session signs a user in once and returns the Cookie line of the guarded hosts.
func (w *world) session(t *testing.T, name string) string {
	t.Helper()
	if c, ok := w.cookies.Load(name); ok {
		return c.(string)
	}
	c := w.jar(t)
	first := w.follow(t, c, w.url(appHost, "/"))
	p := w.person(name)
	w.signIn(t, c, first.header.Get("Location"), p, p.code(t, 0))
	u, _ := url.Parse(w.url(appHost, "/"))
	var pairs []string
	for _, cookie := range c.Jar.Cookies(u) {
		pairs = append(pairs, cookie.Name+"="+cookie.Value)
	}
	slices.Sort(pairs)
	line := strings.Join(pairs, "; ")
	if !strings.Contains(line, "sallyport_session=") {
		t.Fatalf("no session for the guarded host: %q", line)
	}
	w.cookies.Store(name, line)
	return line
}

// as is the header of a signed-in program.
func (w *world) as(t *testing.T, name string) http.Header {
	t.Helper()
	return http.Header{"Cookie": {w.session(t, name)}}
}

// token asks the API for an access token, by the code of the next step: that of
// this one is the session's.
func (w *world) token(t *testing.T, name string) string {
	t.Helper()
	w.session(t, name)
	p := w.person(name)
	post := func(path string, body map[string]any) map[string]any {
		text, _ := json.Marshal(body)
		a := w.ask(t, w.client(), "POST", portalHost, "/sallyport/api/v1"+path, http.Header{"Content-Type": {"application/json"}}, string(text))
		var out map[string]any
		if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != 200 {
			t.Fatalf("%s: %d %.300s", path, a.status, a.body)
		}
		return out
	}
	first := post("/login", map[string]any{"name": p.name, "password": p.password})
	second := post("/login/code", map[string]any{"ephemeral_token": first["ephemeral_token"], "code": p.code(t, 1)})
	return second["access_token"].(string)
}
