// Package drf is what is the same in the facades of systems that stood in Django REST
// framework: how it reads a body ([Parser]) and a field of it ([Text]), and the words
// and forms of its refusals. What the systems put around it is theirs: how they say
// who calls, WWW-Authenticate, and what a field may hold.
package drf

import (
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// Texts of the framework that stand in more than one answer.
const (
	NotFound = "Not found."
	NonField = "non_field_errors" // the field of what is wrong with no single one
)

// NotFoundPage is Django's page where no path fits. Its first line is empty.
const NotFoundPage = `
<!doctype html>
<html lang="en">
<head>
  <title>Not Found</title>
</head>
<body>
  <h1>Not Found</h1><p>The requested resource was not found on this server.</p>
</body>
</html>
`

// Detail is the form of what the framework itself refuses.
type Detail struct {
	Detail string `json:"detail"`
}

// Refusal is what the framework refuses before a call sees it.
type Refusal struct {
	Status int
	Text   string // may repeat what was sent, which need not be UTF-8
}

func malformed(text string) *Refusal { return &Refusal{http.StatusBadRequest, text} }

// MethodNotAllowed is the text of a 405.
func MethodNotAllowed(method string) string {
	return `Method "` + method + `" not allowed.`
}

// Throttled is the text of a 429, in whole seconds, rounded up.
func Throttled(wait time.Duration) string {
	seconds, unit := int64((wait+time.Second-1)/time.Second), "seconds"
	if seconds == 1 {
		unit = "second"
	}
	return fmt.Sprintf("Request was throttled. Expected available in %d %s.", seconds, unit)
}

// Slashed is where a path without a slash at its end is sent (301): the path alone, so
// that no Host of a stranger gets into it.
func Slashed(path, query string) string {
	path += "/"
	if query != "" {
		path += "?" + query
	}
	return path
}

// Write answers with JSON; a nil body is none.
func Write(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	text, err := compat.EncodeJSON(body)
	if err != nil { // cannot be: bodies are ours
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// WritePage answers with a page for people, which may be empty.
func WritePage(w http.ResponseWriter, status int, page string) {
	kind := "text/html" // Django's own page is ASCII, and says no more
	if page != NotFoundPage {
		kind += "; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(page))
}
