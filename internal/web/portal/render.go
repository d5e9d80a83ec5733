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
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/web"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static/style.css static/icon.svg static/passkey.js
var staticFiles embed.FS

// view is what a template sees: what all pages have, and Body, which is the
// page's own.
type view struct {
	Site, Style, Icon, IconKind string
	Title                       string
	Failed                      bool // the answer is a refusal or a failure
	Alert, Notice               string
	Wrong                       []string // the fields that Alert is about; none: all
	MinLength                   int      // of a new password
	Body                        any
}

// pages parses every template. One set per page: each page is a whole document.
func (p *Portal) pages() (*template.Template, error) {
	t := template.New("portal").Funcs(template.FuncMap{"say": p.say})
	return t.ParseFS(templateFiles, "templates/*.html")
}

// Tie connects a field with what is said about it elsewhere on the page: the
// alert, if it is about this field, and its hints, which are ids of the template.
func (v view) Tie(field string, hints ...string) template.HTMLAttr {
	attributes := ""
	if v.Alert != "" && (len(v.Wrong) == 0 || slices.Contains(v.Wrong, field)) {
		attributes, hints = ` aria-invalid="true"`, append([]string{"alert"}, hints...)
	}
	if len(hints) > 0 {
		attributes += ` aria-describedby="` + strings.Join(hints, " ") + `"`
	}
	return template.HTMLAttr(attributes)
}

// asset is one file under a name that changes with its content.
type asset struct {
	path, kind string
	body       []byte
}

// newAsset gives a file its path. The hash in it lets browsers keep the file
// for a year.
func newAsset(name, kind string, body []byte) asset {
	sum := sha256.Sum256(body)
	hash := base64.RawURLEncoding.EncodeToString(sum[:9])
	return asset{path: "/sallyport/static/" + hash + "/" + name, kind: kind, body: body}
}

// readAssets reads the embedded files, and takes the operator's logo in place
// of the icon.
func (p *Portal) readAssets(logo []byte) error {
	style, err := fs.ReadFile(staticFiles, "static/style.css")
	if err != nil {
		return fmt.Errorf("read embedded style: %w", err)
	}
	kind := svg
	if len(logo) == 0 {
		if logo, err = fs.ReadFile(staticFiles, "static/icon.svg"); err != nil {
			return fmt.Errorf("read embedded icon: %w", err)
		}
	} else if kind, err = LogoKind(logo); err != nil {
		return fmt.Errorf("logo: %w", err)
	}
	script, err := fs.ReadFile(staticFiles, "static/passkey.js")
	if err != nil {
		return fmt.Errorf("read embedded script: %w", err)
	}
	p.script = newAsset("passkey.js", "text/javascript; charset=utf-8", script)
	p.style = newAsset("style.css", "text/css; charset=utf-8", style)
	p.icon = newAsset("logo", kind, logo)
	return nil
}

func (a asset) serve(x *exchange) error {
	h := x.w.Header()
	h.Set("Content-Type", a.kind)
	if a.kind == svg {
		h.Set("Content-Security-Policy", svgPolicy)
	}
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(a.body)
	}
	return nil
}

// policy is the Content-Security-Policy of every page. Nothing may run, and
// nothing may come from elsewhere. forms says where forms may end.
func policy(forms string) string {
	return "default-src 'none'; style-src 'self'; img-src 'self'; form-action " + forms +
		"; base-uri 'none'; frame-ancestors 'none'"
}

// stay is where the forms of most pages end: here.
const stay = "'self'"

// leave lets the forms of this answer end elsewhere too, for pages whose form
// is answered by a redirect to an upstream. Chromium holds form-action
// against every redirect that follows a form, and refuses the whole chain
// (seen with Chromium 156): an upstream that sends on to an identity provider
// of its own would be a blank page right after each login. Where the chain
// may begin is guard.Targets' decision, and no text of a stranger becomes a
// form here.
func (x *exchange) leave() {
	forms := stay + " https:"
	if x.scheme == "http" {
		forms += " http:"
	}
	x.w.Header().Set("Content-Security-Policy", policy(forms))
}

// page answers with a rendered template. It is rendered whole before the
// first byte leaves: half a page with status 200 would be a lie.
func (x *exchange) page(status int, name string, v view) error {
	v.Site, v.Style, v.Icon, v.IconKind = x.p.site, x.p.style.path, x.p.icon.path, x.p.icon.kind
	v.MinLength, v.Failed = x.p.minLength(), status >= http.StatusBadRequest
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

// see answers 303: go on to another page by GET. A target that came from
// outside was allowed by guard.Targets, and is written the way a browser would
// write it, so that no header holds what would be markup in a page.
func (x *exchange) see(target string) error {
	x.w.Header().Set("Location", escaped(target))
	x.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// escaped encodes what the URL standard encodes in paths, queries and
// fragments alike, and leaves the rest as it is.
func escaped(target string) string {
	var b strings.Builder
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>`{|}^", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Look is what pages of other rooms need to look like these.
func (p *Portal) Look() web.Look {
	return web.Look{Site: p.site, Style: p.style.path, Icon: p.icon.path, IconKind: p.icon.kind}
}
