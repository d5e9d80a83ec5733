package portal

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// exchange is one request and its answer, with what was found out about who
// sent it. It lives as long as the request and is shared with nobody.
type exchange struct {
	p       *Portal
	w       http.ResponseWriter
	r       *http.Request
	scheme  string // what the browser speaks
	guarded bool   // on a host that is not the portal's
	now     time.Time

	query fields
	form  fields
	many  []string

	// The half login that the request is about, where the route asks for one.
	id, token string
	state     *login.State

	// live is the session, the zero Live where there is none.
	live session.Live
}

// param returns a field of the form, or of the query where a form has none.
func (x *exchange) param(name string) string {
	if v, ok := x.form[name]; ok {
		return v
	}
	return x.query[name]
}

// read takes the request apart and refuses what is malformed or comes from
// another site. Nothing was asked of the store before.
func (x *exchange) read(rt route) error {
	var err error
	if x.query, err = query(x.r); err != nil {
		return err
	}
	switch rt.form {
	case window:
		if !alone(x.r.Header) {
			return errEmbedded
		}
	case picture:
		if !pictured(x.r.Header) {
			return errEmbedded
		}
	}
	if x.r.Method != http.MethodPost {
		return nil
	}
	if web.SiteOf(x.r, web.OwnOrigin(x.scheme, x.r.Host)) != web.SiteSame {
		return errForeign
	}
	x.form, x.many, err = readForm(x.w, x.r, rt.many)
	return err
}

// alone reports whether a page was asked for by a window of its own: not by a
// frame and not by a script, which on a shared origin might be an upstream's.
// Browsers without Sec-Fetch are left to X-Frame-Options.
func alone(h http.Header) bool {
	mode, dest := h.Get("Sec-Fetch-Mode"), h.Get("Sec-Fetch-Dest")
	return (mode == "" || mode == "navigate") && (dest == "" || dest == "document")
}

// pictured reports whether a picture was asked for by an img element of a
// page of ours, or by a person.
func pictured(h http.Header) bool {
	site, dest := h.Get("Sec-Fetch-Site"), h.Get("Sec-Fetch-Dest")
	return (site == "" || site == "same-origin" || site == "none") && (dest == "" || dest == "image" || dest == "document")
}

// admit finds out whether the caller may use the route.
func (x *exchange) admit(by caller) error {
	if err := x.recognise(); err != nil {
		return err
	}
	switch by {
	case anyone:
		return nil
	case signedIn:
		if x.live.Identity == nil || !x.live.Portal {
			return errSignIn
		}
		return nil
	case halfway, enrolling, settingUp, invited, resetting, registering, objecting:
		ok, err := x.hold()
		if err != nil {
			return err
		}
		if !ok || stands(x.state.Status) != by {
			return errGone
		}
		return nil
	}
	return errNotFound // the zero caller
}

// stands says which caller an ephemeral token makes of somebody.
func stands(s login.Status) caller {
	switch s {
	case login.SecondFactor:
		return halfway
	case login.Enroll:
		return enrolling
	case login.Setup:
		return settingUp
	case login.Invited:
		return invited
	case login.Resetting:
		return resetting
	case login.Registering:
		return registering
	case login.Objecting:
		return objecting
	}
	return 0
}

// recognise finds the session of the request, if there is one.
func (x *exchange) recognise() error {
	cookie := x.sessionToken()
	if cookie == "" {
		return nil
	}
	live, err := x.p.sessions.Live(x.r.Context(), cookie, x.now)
	if errors.Is(err, session.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	if !x.guarded && !live.Portal {
		return nil // the domain's cookie under the portal's name: it is for the guard alone
	}
	x.live = live
	return nil
}

func (x *exchange) context() context.Context { return x.r.Context() }

// name is who the session belongs to, as name@realm.
func (x *exchange) name() string {
	if x.live.Identity == nil {
		return ""
	}
	return x.live.Identity.Name + "@" + x.live.Identity.Realm
}

// here is this request's path and query as a target to come back to.
func (x *exchange) here() string {
	return x.r.URL.EscapedPath()
}

// at builds a path with one parameter.
func at(path, name, value string) string {
	return path + "?" + url.Values{name: {value}}.Encode()
}

// denied reports whether an error is an answer: bad credentials, a dead token.
func denied(err error) bool { return errors.Is(err, login.ErrDenied) }
