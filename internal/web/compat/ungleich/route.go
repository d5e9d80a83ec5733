package ungleich

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/web/compat/drf"
)

// call is one request, as handlers see it.
type call struct {
	*http.Request
	client login.Client
	fields fields
	param  string // of the path; "": none
}

// handler answers a call: a status with a body to encode (nil: none), or an error.
type handler func(f *Facade, c *call) (status int, body any, err error)

// route is one path. Allow are its methods in the order of the original's header;
// HEAD is GET.
type route struct {
	allow   string
	methods map[string]handler
}

// The paths of the ages A and B, which have no slash at the end.
var (
	toVerify   = route{"POST", map[string]handler{http.MethodPost: (*Facade).verifyApp}}
	toRegister = route{"POST", map[string]handler{http.MethodPost: (*Facade).registerApp}}
	toApps     = route{"GET, HEAD", map[string]handler{http.MethodGet: (*Facade).listApps}}
	toApp      = route{"GET, HEAD", map[string]handler{http.MethodGet: (*Facade).showApp}}
)

// Those of the ages C and D, which have one.
var (
	toEntries = route{"GET, POST, HEAD, OPTIONS", map[string]handler{
		http.MethodGet: (*Facade).listEntries, http.MethodPost: (*Facade).createEntry, http.MethodOptions: (*Facade).options}}
	toAsk   = route{"POST, OPTIONS", map[string]handler{http.MethodPost: (*Facade).verifyEntry, http.MethodOptions: (*Facade).options}}
	toEntry = route{"GET, PUT, PATCH, DELETE, HEAD, OPTIONS", map[string]handler{
		http.MethodGet: (*Facade).showEntry, http.MethodPut: (*Facade).renameEntry, http.MethodPatch: (*Facade).renameEntry,
		http.MethodDelete: (*Facade).deleteEntry, http.MethodOptions: (*Facade).options}}
)

// find returns the route of a raw path and its parameter; nil: there is nothing.
func find(path string) (to *route, param string) {
	switch path {
	case "/verify":
		return &toVerify, ""
	case "/register", "/app/register":
		return &toRegister, ""
	case "/app":
		return &toApps, ""
	case "/ungleichotp/":
		return &toEntries, ""
	case "/ungleichotp/verify/":
		return &toAsk, ""
	}
	if id, ok := strings.CutPrefix(path, "/app/"); ok && id != "" && !strings.Contains(id, "/") {
		if id, err := url.PathUnescape(id); err == nil {
			return &toApp, id
		}
		return nil, ""
	}
	id, ok := strings.CutPrefix(path, "/ungleichotp/")
	if id, ended := strings.CutSuffix(id, "/"); ok && ended && id != "" && !strings.ContainsAny(id, "/.") {
		return &toEntry, id
	}
	return nil, ""
}

func (f *Facade) route(w http.ResponseWriter, r *http.Request, form form, path, query string, client login.Client) {
	to, param := find(path)
	if to == nil {
		// Only the later ages have paths with a slash at the end.
		if slashed, _ := find(path + "/"); slashed != nil {
			w.Header().Set("Location", drf.Slashed(path, query))
			drf.WritePage(w, http.StatusMovedPermanently, "")
			return
		}
		form.missing(w)
		return
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	handle := to.methods[method]
	if form == rest || handle == nil {
		w.Header().Set("Allow", to.allow)
	}
	if handle == nil {
		form.refuse(w, &refusal{status: http.StatusMethodNotAllowed, text: form.wrongMethod(r.Method, to)})
		return
	}
	c := &call{Request: r, client: client, param: param}
	var err error
	if c.fields, err = read(w, r, form); err == nil {
		var status int
		var body any
		if status, body, err = handle(f, c); err == nil {
			drf.Write(w, status, body)
			return
		}
	}
	form.refuse(w, f.refusalOf(r, form, err))
}

// options says no more than its header: nobody has to prove anything for that.
func (f *Facade) options(*call) (int, any, error) { return http.StatusOK, struct{}{}, nil }

// names are the methods of a route, for a sentence.
func (to *route) names() string {
	all := strings.Split(to.allow, ", ")
	return strings.Join(slices.DeleteFunc(all, func(m string) bool { return m == http.MethodHead }), " and ")
}
