package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// refusals of calls, as the description has them.
var described = [...]struct {
	status int
	text   string
	header string // that comes with it
}{
	{400, "The request has no one reading: no JSON, a bad cursor, a malformed header.", ""},
	{401, "Nobody proved who is calling, or the credentials are not good.", "WWW-Authenticate"},
	{403, "Whoever is calling may not do this, or not with what was proved.", ""},
	{404, "There is no such user, service, realm, method or session.", ""},
	{409, "What is there does not let this happen.", ""},
	{412, "The record has another version than If-Match asks for (code version), or exists (code exists).", ""},
	{413, "The body is larger than 64 KiB.", ""},
	{415, "The body is no application/json.", ""},
	{422, "A field or a parameter is missing, unknown or not as documented.", ""},
	{429, "Too many wrong tries, or messages.", "Retry-After"},
	{500, "Something failed here. It was noted.", ""},
	{503, "The gateway cannot answer at this moment.", "Retry-After"},
}

var headerTexts = map[string]string{
	"ETag":                 "The version of the record, for If-Match.",
	"Idempotency-Replayed": "true: the answer to the same request that came before.",
	"Retry-After":          "Seconds to wait.",
	"WWW-Authenticate":     "How to prove who is calling.",
}

func headerOf(name string) *huma.Param {
	kind := "string"
	if name == "Retry-After" {
		kind = "integer"
	}
	return &huma.Param{Description: headerTexts[name], Schema: &huma.Schema{Type: kind}}
}

// components are what operations of the description refer to.
func components() *huma.Components {
	c := &huma.Components{
		Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
		SecuritySchemes: map[string]*huma.SecurityScheme{
			"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "The access token of POST /login."},
			"basic":  {Type: "http", Scheme: "basic", Description: "Services: name@realm, and the current TOTP token as the password."},
			"cookie": {Type: "apiKey", In: "cookie", Name: "__Host-sallyport_session", Description: "The session cookie of the pages, for pages of the same origin. On http its name is sallyport_session; with a cookie domain it is __Host-sallyport_portal."},
		},
		Responses: map[string]*huma.Response{},
	}
	schema := c.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	content := map[string]*huma.MediaType{problemType: {Schema: schema}}
	for _, d := range described {
		r := &huma.Response{Description: d.text, Content: content}
		if d.header != "" {
			r.Headers = map[string]*huma.Param{d.header: headerOf(d.header)}
		}
		c.Responses[responseName(d.status)] = r
	}
	c.Responses["Refusal"] = &huma.Response{Description: "A refusal or a failure.", Content: content}
	return c
}

func responseName(status int) string {
	return strings.ReplaceAll(http.StatusText(status), " ", "")
}

// responsesOf are the refusals that a call can answer.
func responsesOf(route Route, body bool) map[string]*huma.Response {
	path := strings.Contains(route.Path, "{")
	change := route.Method != http.MethodGet
	can := map[int]bool{
		400: true, 401: true, 403: true, 404: path || route.Method == http.MethodPost && route.Who == Capable,
		409: change, 412: route.Match, 413: body, 415: body, 422: true, 429: true, 500: true, 503: true,
	}
	responses := map[string]*huma.Response{"default": {Ref: "#/components/responses/Refusal"}}
	for _, d := range described {
		if can[d.status] {
			responses[strconv.Itoa(d.status)] = &huma.Response{Ref: "#/components/responses/" + responseName(d.status)}
		}
	}
	return responses
}

// describeRoute is the operation of a route.
func describeRoute(route Route, body bool) huma.Operation {
	op := huma.Operation{
		OperationID: operationID(route), Method: route.Method, Path: route.Path, Summary: route.Summary,
		Description: "Who may call: " + whoMay[route.Who] + ".", Tags: []string{tagOf(route.Path)},
		Responses: responsesOf(route, body),
	}
	switch route.Who {
	case Anyone:
	case Capable, OwnerOrCapable:
		op.Security = []map[string][]string{{"bearer": {}}, {"basic": {}}, {"cookie": {}}}
	default:
		op.Security = []map[string][]string{{"bearer": {}}, {"cookie": {}}}
	}
	text := func(name, doc, example string, most int) {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "header", Description: doc, Example: example,
			Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &most}})
	}
	if route.Match {
		text("If-Match", "The ETag of the record that this changes, several, or *: 412 if it has another by now.", `"3-9f2c81aa"`, 4096)
		text("If-None-Match", "*: only if there is no such record yet; 412 if there is.", "*", 4096)
	}
	if route.Once {
		text("Idempotency-Key", "A fresh random text for each thing to make; the same one to ask again. For an hour the same request has the same answer, while it is among the last "+strconv.Itoa(onceMost)+" of the caller.",
			"b5f0c5d3-6a1e-4a53-9d5b-0f6f5f0f7f61", maxOnceKey+2)
	}
	return op
}

// whoMay says it in a sentence.
var whoMay = map[Who]string{
	Anyone:           "anyone; what the body proves counts",
	Owner:            "whoever is signed in, about the own record",
	OwnerChange:      "whoever is signed in and proved every factor there is, about the own record",
	OwnerOrEnrolling: "whoever is signed in, about the own record, or whoever holds the ephemeral token of a login that must set up a factor",
	OwnerOrCapable:   "the owner of the record, or whoever has the capability over its realm",
	Capable:          "whoever has the capability over the realm: a service, or a person in a session with two factors, for changes at most 15 minutes old",
	LocalOnly:        "the local administrator, by the admin socket",
}

// groupNames are the groups of calls, in the order in which a reader needs them.
func groupNames() []string {
	return []string{"Signing in and out", "The own record", "Users", "Services", "Realms", "What is going on"}
}

// tagOf is the group of a call, by the first word of its path.
func tagOf(path string) string {
	word, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	groups := groupNames()
	switch word {
	case "login", "logout", "token", "password-reset", "register", "not-me":
		return groups[0]
	case "me":
		return groups[1]
	case "users", "verify":
		return groups[2]
	case "services":
		return groups[3]
	case "realms":
		return groups[4]
	}
	return groups[5]
}

// describeSuccess adds what the framework does not know of a good answer.
func describeSuccess(op *huma.Operation, route Route) {
	for status, r := range op.Responses {
		if status[0] != '2' || r == nil {
			continue
		}
		if route.Once {
			if r.Headers == nil {
				r.Headers = map[string]*huma.Param{}
			}
			r.Headers["Idempotency-Replayed"] = headerOf("Idempotency-Replayed")
		}
		if etag := r.Headers["ETag"]; etag != nil {
			r.Headers["ETag"] = headerOf("ETag")
		}
		delete(r.Headers, "Content-Type") // the description has it as the media type
	}
}

// describe answers DescriptionPath. It changes with the program alone, so a
// copy is good while its tag is.
func (a *API) describe(w http.ResponseWriter, r *http.Request) {
	a.serveText(w, r, "application/json", a.description)
}

// serveText serves what never changes while the process runs, with a tag.
func (a *API) serveText(w http.ResponseWriter, r *http.Request, kind string, text []byte) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		notAllowed([]string{http.MethodGet, http.MethodHead}).write(w)
		return
	}
	sum := sha256.Sum256(text)
	etag := `"` + hex.EncodeToString(sum[:12]) + `"`
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", etag)
	if seen, err := parseTags(strings.Join(r.Header.Values("If-None-Match"), ",")); err == nil && seen.weakly(etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", kind)
	_, _ = w.Write(text)
}
