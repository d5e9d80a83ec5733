package portal

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static/style.css static/icon.svg
var staticFiles embed.FS

// view is what a template sees: what all pages have, and Body, which is the
// page's own.
type view struct {
	Site, Style, Icon string
	Title             string
	Alert, Notice     string
	Wide              bool
	MinLength         int // of a new password
	Body              any
}

// pages parses every template. One set per page: each page is a whole document.
func (p *Portal) pages() (*template.Template, error) {
	t := template.New("portal").Funcs(template.FuncMap{"say": p.say})
	return t.ParseFS(templateFiles, "templates/*.html")
}

// asset is one embedded file under a name that changes with its content.
type asset struct {
	path, kind string
	body       []byte
}

// assets reads the embedded files. The hash in the path lets browsers keep
// them for a year.
func assets() ([]asset, error) {
	var all []asset
	for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"} {
		body, err := fs.ReadFile(staticFiles, "static/"+name)
		if err != nil {
			return nil, fmt.Errorf("read embedded %s: %w", name, err)
		}
		sum := sha256.Sum256(body)
		hash := base64.RawURLEncoding.EncodeToString(sum[:9])
		all = append(all, asset{path: "/sallyport/static/" + hash + "/" + name, kind: kind, body: body})
	}
	return all, nil
}

func (a asset) serve(x *exchange) error {
	h := x.w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	_, _ = x.w.Write(a.body)
	return nil
}

// policy is the Content-Security-Policy of every answer. Nothing may run, and
// nothing may come from elsewhere.
//
// Chromium holds form-action against redirects too: the last form of a login
// is answered by a redirect to the target, so the pages of a login name the
// origin of their target, which guard.Targets has allowed before.
func policy(target string) string {
	forms := "'self'"
	if u, err := url.Parse(target); err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		// A host that passed guard.Targets has none of these; a directive could
		// be smuggled in by one that did not.
		if !strings.ContainsAny(u.Host, " ;,'\"\t\r\n*") {
			forms += " " + u.Scheme + "://" + u.Host
		}
	}
	return "default-src 'none'; style-src 'self'; img-src 'self'; form-action " + forms +
		"; base-uri 'none'; frame-ancestors 'none'"
}

// page answers with a rendered template. It is rendered whole before the
// first byte leaves: half a page with status 200 would be a lie.
func (x *exchange) page(status int, name string, v view) error {
	v.Site, v.Style, v.Icon, v.MinLength = x.p.site, x.p.style, x.p.icon, x.p.minLength()
	var out bytes.Buffer
	if err := x.p.templates.ExecuteTemplate(&out, name+".html", v); err != nil {
		return fmt.Errorf("render page %s: %w", name, err)
	}
	h := x.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(out.Bytes())
	}
	return nil
}

// plain answers with a line of text.
func (x *exchange) plain(status int, text string) error {
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write([]byte(text))
	}
	return nil
}

// see answers 303: go on to another page by GET.
func (x *exchange) see(target string) error {
	x.w.Header().Set("Location", target)
	x.w.WriteHeader(http.StatusSeeOther)
	return nil
}
