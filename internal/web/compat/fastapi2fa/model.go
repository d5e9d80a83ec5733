package fastapi2fa

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/web/compat/pyjson"
)

// The two kinds of devices.
const (
	byEmail       = "email"
	codeGenerator = "code_generator"
)

func missing(loc ...any) invalid {
	return invalid{Loc: loc, Msg: "field required", Type: "value_error.missing"}
}

func notNone(loc []any) invalid {
	return invalid{Loc: loc, Msg: "none is not an allowed value", Type: "type_error.none.not_allowed"}
}

func notDict(loc ...any) invalid {
	return invalid{Loc: loc, Msg: "value is not a valid dict", Type: "type_error.dict"}
}

// jsonBody is the body as FastAPI hands it on: nil for none, and undecoded ([]byte)
// where the content type says that it is no JSON.
func (x *exchange) jsonBody() (any, error) {
	if len(x.body) == 0 {
		return nil, nil
	}
	if kind := x.r.Header.Get("Content-Type"); kind != "" && !jsonType(kind) {
		return x.body, nil
	}
	return decode(x.body)
}

// jsonType reports whether a content type is application/json or application/*+json.
func jsonType(kind string) bool {
	kind, _, _ = strings.Cut(kind, ";")
	main, sub, _ := strings.Cut(strings.ToLower(strings.TrimSpace(kind)), "/")
	return main == "application" && (sub == "json" || strings.HasSuffix(sub, "+json") && !strings.Contains(sub, "/"))
}

// object is a model's dict: what Python's dict() makes one of counts too.
func object(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case map[string]any:
		return v, true
	case []any:
		return map[string]any{}, len(v) == 0
	case string:
		return map[string]any{}, v == ""
	}
	return nil, false
}

// fields collects what is wrong in a model.
type fields struct {
	at    []any
	all   map[string]any
	found []invalid
}

func (f *fields) loc(name string) []any { return append(f.at[:len(f.at):len(f.at)], name) }

// required is a field that must be there and not null.
func (f *fields) required(name string) (any, bool) {
	v, there := f.all[name]
	switch {
	case !there:
		f.found = append(f.found, missing(f.loc(name)...))
		return nil, false
	case v == nil:
		f.found = append(f.found, notNone(f.loc(name)))
		return nil, false
	}
	return v, true
}

// text is a required str: numbers and booleans become what Python prints.
func (f *fields) text(name string) (string, bool) {
	v, ok := f.required(name)
	if !ok {
		return "", false
	}
	text, ok := pyText(v)
	if !ok {
		f.found = append(f.found, notText(f.loc(name)))
	}
	return text, ok
}

func notText(loc []any) invalid {
	return invalid{Loc: loc, Msg: "str type expected", Type: "type_error.str"}
}

func pyText(v any) (string, bool) {
	switch v.(type) {
	case string, pyjson.Int, float64, bool:
		return pyjson.Str(v), true
	}
	return "", false
}

// email is a required address, canonical.
func (f *fields) email(name string) string {
	text, ok := f.text(name)
	if !ok {
		return ""
	}
	address, err := principal.CanonicalAddress(strings.TrimSpace(text))
	if _, domain, _ := strings.Cut(address, "@"); err != nil || !strings.Contains(domain, ".") {
		f.found = append(f.found, badAddress(f.loc(name)))
	}
	return address
}

func badAddress(loc []any) invalid {
	return invalid{Loc: loc, Msg: "value is not a valid email address", Type: "value_error.email"}
}

// flag is a bool that may be null. A missing one crashed the original.
func (f *fields) flag(name string) bool {
	v, there := f.all[name]
	if !there {
		f.found = append(f.found, missing(f.loc(name)...))
		return false
	}
	yes, ok := pyBool(v)
	if !ok {
		f.found = append(f.found, invalid{Loc: f.loc(name), Msg: "value could not be parsed to a boolean", Type: "type_error.bool"})
	}
	return yes
}

func pyBool(v any) (yes, ok bool) {
	word := ""
	switch v := v.(type) {
	case nil:
		return false, true
	case bool:
		return v, true
	case string:
		word = strings.ToLower(v)
	case pyjson.Int:
		word = string(v)
	case float64:
		word = strconv.FormatFloat(v, 'f', -1, 64)
	}
	switch word {
	case "1", "on", "t", "true", "y", "yes":
		return true, true
	case "0", "off", "f", "false", "n", "no":
		return false, true
	}
	return false, false
}

// pyTrue is the truth of a value that was not read yet.
func pyTrue(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return v != ""
	case pyjson.Int:
		return v != "0"
	case float64:
		return v != 0
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return false
}

// device reads a device model at a place.
func device(v any, at ...any) (kind string, found []invalid) {
	all, ok := object(v)
	if !ok {
		return "", []invalid{notDict(at...)}
	}
	f := &fields{at: at, all: all}
	if v, ok := f.required("device_type"); ok {
		if kind, _ = v.(string); kind != byEmail && kind != codeGenerator {
			f.found = append(f.found, notDevice(f.loc("device_type")))
		}
	}
	return kind, f.found
}

func notDevice(loc []any) invalid {
	return invalid{
		Loc: loc, Msg: "value is not a valid enumeration member; permitted: 'email', 'code_generator'", Type: "type_error.enum",
		Ctx: map[string]any{"enum_values": []string{byEmail, codeGenerator}},
	}
}

// newUser is the body of signup.
type newUser struct {
	email, fullName, password string
	tfa                       bool
	device                    string // "": none
}

func readNewUser(body any) (*newUser, error) {
	if body == nil {
		return nil, unprocessable(missing("body"))
	}
	all, ok := object(body)
	if !ok {
		return nil, unprocessable(notDict("body"))
	}
	if pyTrue(all["tfa_enabled"]) && all["device"] == nil { // before any field is read
		return nil, detail(http.StatusBadRequest, "when enabling two factor authentication, also a device_type should be provided")
	}
	f := &fields{at: []any{"body"}, all: all}
	u := &newUser{email: f.email("email"), tfa: f.flag("tfa_enabled")}
	u.fullName, _ = f.text("full_name")
	u.password, _ = f.text("password")
	if v := all["device"]; v != nil {
		kind, found := device(v, "body", "device")
		u.device, f.found = kind, append(f.found, found...)
	}
	if len(f.found) > 0 {
		return nil, unprocessable(f.found...)
	}
	return u, nil
}

// form reads a body as Starlette reads forms: of equal names the last counts, and
// what is no form has no fields. A file is a field that is no text.
func (x *exchange) form() (values map[string]string, files map[string]bool, err error) {
	kind, params, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	switch {
	case kind == "application/x-www-form-urlencoded":
		return formValues(string(x.body)), nil, nil
	case kind == "multipart/form-data" && err == nil:
		return multipartForm(x.body, params["boundary"])
	case kind == "multipart/form-data":
		return nil, nil, errBody()
	}
	return map[string]string{}, nil, nil
}
