package proxy

import (
	"encoding/json"
	"html/template"
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/web"
)

// Demo is the built-in upstream of serve --demo: a page that shows which
// identity headers arrived. With Accept: application/json it is JSON.
func Demo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rows := demoRows(r)
		web.SecureHeaders(w.Header())
		if strings.Contains(r.Header.Get("Accept"), "application/json") {
			w.Header().Set("Content-Type", "application/json")
			fields := map[string]string{"method": r.Method, "path": r.URL.Path}
			for _, row := range rows {
				fields[row.Name] = row.Value
			}
			_ = json.NewEncoder(w).Encode(fields)
			return
		}
		// The button of this page posts to the gateway on the same origin.
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = demoPage.Execute(w, struct {
			Method, Path string
			Rows         []demoRow
		}{r.Method, r.URL.Path, rows})
	})
}

type demoRow struct{ Name, Value string }

// demoRows are the headers of every preset that arrived, the default ones
// first.
func demoRows(r *http.Request) []demoRow {
	var rows []demoRow
	for _, preset := range [...]string{"", "x-forwarded", "x-auth-request", "authentik"} {
		n := web.Names(preset)
		for _, name := range [...]string{n.User, n.Name, n.Email, n.Groups, n.Realm, n.Preferred} {
			if v, ok := r.Header[name]; ok && len(v) > 0 && name != "" {
				rows = append(rows, demoRow{name, strings.Join(v, " | ")})
			}
		}
	}
	if r.Header.Get(web.AssertionHeader) != "" {
		rows = append(rows, demoRow{web.AssertionHeader, "(a signed assertion)"})
	}
	return rows
}

var demoPage = template.Must(template.New("demo").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Behind both doors</title>
<h1>Behind both doors</h1>
<p>This page is an application that knows nothing of logins. The gateway let
<code>{{.Method}} {{.Path}}</code> pass and told it who is calling:</p>
<table>
<thead><tr><th scope="col">Header</th><th scope="col">Value</th></tr></thead>
<tbody>
{{range .Rows}}<tr><th scope="row"><code>{{.Name}}</code></th><td>{{.Value}}</td></tr>
{{end}}</tbody>
</table>
<p><a href="/sallyport/">Your account at the gateway</a></p>
<form method="post" action="/sallyport/logout"><button type="submit">Sign out</button></form>
</html>
`))
