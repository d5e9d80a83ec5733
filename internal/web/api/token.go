package api

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sallyport-auth/sallyport/internal/web"
)

const formType = "application/x-www-form-urlencoded"

// oauthError is an answer of the token endpoint that is not a success (RFC 6749
// section 5.2).
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`

	status int
}

// accessToken is the answer to a client that proved itself (RFC 6749 section 5.1).
type accessToken struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
}

// registerToken adds POST /token. It speaks OAuth 2.0 and not the API's own form,
// so it stands beside huma; its line in the table and in the description are here.
func (a *API) registerToken(h huma.API) {
	route := Route{Method: http.MethodPost, Path: "/token", Who: Anyone, Summary: "OAuth 2.0 client credentials: a service's token for an access token", OAuth: true}
	a.routes = append(a.routes, route)
	a.mux.HandleFunc(route.Method+" "+Prefix+route.Path, func(w http.ResponseWriter, r *http.Request) { a.token(w, r, route) })
	text := func(doc string) *huma.Schema { return &huma.Schema{Type: "string", Description: doc} }
	number := &huma.Schema{Type: "integer", Description: "Seconds that the token is good."}
	failure := &huma.Schema{Type: "object", Required: []string{"error"}, Properties: map[string]*huma.Schema{
		"error": text("A word of RFC 6749 section 5.2."), "error_description": text("One sentence for people.")}}
	answer := func(description string, schema *huma.Schema) *huma.Response {
		return &huma.Response{Description: description, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
	}
	h.OpenAPI().AddOperation(&huma.Operation{
		OperationID: operationID(route), Method: route.Method, Path: route.Path, Summary: route.Summary, Tags: []string{tagOf(route.Path)},
		Description: "Who may call: a service, with its name@realm and its current token, in the body or by HTTP Basic (RFC 6749 section 2.3.1).",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{formType: {Schema: &huma.Schema{
			Type: "object", Required: []string{"grant_type"}, Properties: map[string]*huma.Schema{
				"grant_type": {Type: "string", Enum: []any{"client_credentials"}},
				"client_id":  text("name@realm."), "client_secret": text("The service's current token."),
			}}}}},
		Responses: map[string]*huma.Response{
			"200": answer("An access token.", &huma.Schema{Type: "object", Required: []string{"access_token", "token_type", "expires_in"},
				Properties: map[string]*huma.Schema{"access_token": text("For the header Authorization."), "token_type": text("Bearer."), "expires_in": number}}),
			"400": answer("The request is not as documented.", failure), "401": answer("The credentials are not good.", failure),
			"413": answer("The body is too large.", failure), "429": answer("Too many wrong tries: wait.", failure), "503": answer("Try again.", failure),
		},
	})
}

// token is the client credentials grant (RFC 6749 section 4.4).
func (a *API) token(w http.ResponseWriter, r *http.Request, route Route) {
	c, err := a.admit(w, r, route)
	if err != nil { // a foreign page, or the admin socket
		a.refuseToken(w, r, err)
		return
	}
	name, token, err := tokenClient(w, r)
	if err != nil {
		a.refuseToken(w, r, err)
		return
	}
	who, err := a.program(r.Context(), c, name, token)
	if err != nil {
		a.refuseToken(w, r, err)
		return
	}
	access, expires, err := a.Sessions.AccessService(r.Context(), who)
	if err != nil {
		a.refuseToken(w, r, err)
		return
	}
	answerToken(w, http.StatusOK, accessToken{AccessToken: access, TokenType: "Bearer", ExpiresIn: seconds(expires.Sub(a.Clock()))})
}

// seconds rounds up: what is good for 899.5 s is told as 900, as it was made.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// tokenClient reads who the client says it is. Credentials in the URL are refused
// (RFC 6749 section 2.3.1), and so is whatever stands twice.
func tokenClient(w http.ResponseWriter, r *http.Request) (name, token string, err error) {
	bad := func(code, description string) error {
		return &oauthError{Code: code, Description: description, status: http.StatusBadRequest}
	}
	credentials := r.Header.Values("Authorization")
	basic := len(credentials) > 0
	if r.URL.RawQuery != "" {
		return "", "", bad("invalid_request", "Parameters belong into the body, not into the address.")
	}
	form, err := tokenForm(w, r)
	if err != nil {
		return "", "", err
	}
	switch grant := form.Get("grant_type"); {
	case grant == "":
		return "", "", bad("invalid_request", "grant_type is missing: client_credentials is expected.")
	case grant != "client_credentials":
		return "", "", bad("unsupported_grant_type", "client_credentials is the one grant here.")
	case form.Get("scope") != "":
		return "", "", bad("invalid_scope", "There are no scopes here: what a service may do, its realm says.")
	}
	name, token = form.Get("client_id"), form.Get("client_secret")
	switch {
	case basic && token != "", len(credentials) > 1:
		return "", "", bad("invalid_request", "Credentials are expected once, in the body or in Authorization.")
	case basic:
		header, secret, ok := tokenBasic(credentials[0])
		if !ok || name != "" && name != header {
			return "", "", &oauthError{Code: "invalid_client", Description: "Authorization: Basic with name@realm and the current token is expected.", status: http.StatusUnauthorized}
		}
		return header, secret, nil
	case name == "" || token == "":
		return "", "", &oauthError{Code: "invalid_client", Description: "client_id (name@realm) and client_secret (the current token) are expected.", status: http.StatusUnauthorized}
	}
	return name, token, nil
}

// tokenForm reads the body: a form in which nothing stands twice.
func tokenForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	bad := &oauthError{Code: "invalid_request", Description: "A form is expected, each parameter once (Content-Type: " + formType + ").", status: http.StatusBadRequest}
	body, err := web.ReadBody(w, r, maxBody)
	if over := (*http.MaxBytesError)(nil); errors.As(err, &over) {
		return nil, &oauthError{Code: "invalid_request", Description: "The body is larger than 64 KiB.", status: http.StatusRequestEntityTooLarge}
	}
	types := r.Header.Values("Content-Type")
	if err != nil || len(types) != 1 {
		return nil, bad
	}
	if kind, _, err := mime.ParseMediaType(types[0]); err != nil || kind != formType {
		return nil, bad
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, bad
	}
	for _, values := range form {
		if len(values) > 1 {
			return nil, bad
		}
	}
	return form, nil
}

// tokenBasic reads client credentials out of Authorization: both halves are
// form-encoded (RFC 6749 section 2.3.1). Names of services hold no percent sign and
// no plus, so that one which is sent as it is, as curl does, reads the same.
func tokenBasic(value string) (name, token string, ok bool) {
	name, token, ok = web.BasicCredential(value)
	if !ok {
		return "", "", false
	}
	name, nameErr := url.QueryUnescape(name)
	token, tokenErr := url.QueryUnescape(token)
	return name, token, nameErr == nil && tokenErr == nil
}

// refuseToken says what the one function that maps errors says, in the form of RFC
// 6749 section 5.2.
func (a *API) refuseToken(w http.ResponseWriter, r *http.Request, err error) {
	var e *oauthError
	if !errors.As(err, &e) {
		p := a.refuse(r, err)
		e = &oauthError{Code: "invalid_request", Description: p.Detail, status: p.Status}
		switch {
		case p.Status >= http.StatusInternalServerError:
			e.Code = "server_error"
		case p.Status == http.StatusUnauthorized || p.Status == http.StatusTooManyRequests:
			e.Code = "invalid_client"
		}
		if wait := p.header.Get("Retry-After"); wait != "" {
			w.Header().Set("Retry-After", wait)
		}
	}
	if e.status == http.StatusUnauthorized && !web.SecFetch(r.Header) {
		w.Header().Set("WWW-Authenticate", web.BasicChallenge)
	}
	answerToken(w, e.status, e)
}

func answerToken(w http.ResponseWriter, status int, body any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache") // RFC 6749 section 5.1
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone; there is nobody to tell
}

func (e *oauthError) Error() string { return e.Code }
