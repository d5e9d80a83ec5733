package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/principal"
)

const (
	apiPath = "/sallyport/api/v1"
	// maxAnswer bounds what is read of an answer, in bytes: pages are small.
	maxAnswer = 16 << 20
	// pageSize is asked of paged lists: the most that the API gives.
	pageSize = "200"
)

// refusal is an answer of the API that is not a success.
type refusal struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`
}

func (r *refusal) Error() string {
	text := strings.TrimSuffix(r.Detail, ".")
	if text == "" {
		text = fmt.Sprintf("the server answered %d %s", r.Status, r.Title)
	}
	fields := make([]string, len(r.Errors))
	for i, e := range r.Errors {
		if fields[i] = e.Message; e.Location != "" {
			fields[i] = strings.TrimPrefix(e.Location, "body.") + ": " + e.Message
		}
	}
	if len(fields) > 0 {
		text += ": " + strings.Join(fields, "; ")
	}
	return text
}

// refused reports whether err is the API's refusal with this code.
func refused(err error, code string) bool {
	var r *refusal
	return errors.As(err, &r) && r.Code == code
}

// client asks the JSON API as the local administrator.
type client struct {
	ctx   context.Context
	http  http.RoundTripper
	close func() error
}

// open finds the running server, or else opens the store in this process.
func (l *line) open(ctx context.Context) (*client, error) {
	c, err := l.dial(ctx)
	if err != nil || c != nil {
		return c, err
	}
	found := l.shell.HasState == nil || l.shell.HasState(ctx, l.global)
	handler, closeStore, err := l.shell.OpenDirect(ctx, l.global)
	if err != nil {
		return nil, err
	}
	if !found {
		where := "the storage that the configuration names"
		if l.global.State != "" {
			where = clean(l.global.State)
		}
		fmt.Fprintf(l.stderr, "There was no state yet in %s: made it.\n", where)
	}
	return &client{ctx: ctx, http: InProcess{handler}, close: closeStore}, nil
}

// dial finds the running server; nil when there is none.
func (l *line) dial(ctx context.Context) (*client, error) {
	transport, err := l.shell.AdminDial(ctx, l.global)
	if err != nil {
		return nil, err // names the socket, or the mistake in the configuration
	}
	if transport == nil {
		return nil, nil
	}
	return &client{ctx: ctx, http: transport, close: func() error { return nil }}, nil
}

// with runs fn with a client and closes it. An error while closing is one: the
// store may not have written everything.
func (l *line) with(ctx context.Context, fn func(*client) error) error {
	c, err := l.open(ctx)
	if err != nil {
		return err
	}
	err = fn(c)
	if closing := c.close(); err == nil && closing != nil {
		return fmt.Errorf("close the store: %w", closing)
	}
	return err
}

// withNew is with for a command that brings what a new state is to hold.
func (l *line) withNew(ctx context.Context, fn func(*client) error) error {
	l.global.Create = true
	return l.with(ctx, fn)
}

// call sends in (nil: no body) and decodes the answer into out (nil: ignored).
// path starts behind /sallyport/api/v1.
func (c *client) call(method, path string, in, out any) error {
	answer, err := c.send(method, path, in)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("read the server's answer: it is not what this version expects (is the server of another version?)")
	}
	return nil
}

func (c *client) send(method, path string, in any) ([]byte, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(c.ctx, method, "http://localhost"+apiPath+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the server's answer: %w", err)
	}
	if resp.StatusCode >= 300 {
		r := &refusal{}
		_ = json.Unmarshal(answer, r) // what is not JSON leaves the status alone
		r.Status, r.Title = resp.StatusCode, http.StatusText(resp.StatusCode)
		return nil, r
	}
	return answer, nil
}

// pages reads a paged list to its end. next asks with query, and returns the
// page and the cursor of the following one, empty at the end.
func pages[T any](query url.Values, next func() ([]T, string, error)) ([]T, error) {
	list := []T{}
	for {
		page, cursor, err := next()
		if err != nil {
			return nil, err
		}
		list = append(list, page...)
		if cursor == "" {
			return list, nil
		}
		query.Set("cursor", cursor)
	}
}

// InProcess is the way to a handler that OpenDirect opened.
type InProcess struct{ http.Handler }

// RoundTrip implements [http.RoundTripper].
func (p InProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil {
		req.Body = http.NoBody
	}
	w := &recorder{header: http.Header{}}
	p.ServeHTTP(w, req)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return &http.Response{
		StatusCode: w.status, Header: w.header, Request: req,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()),
	}, nil
}

// recorder keeps an answer in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// ref reads NAME or NAME@REALM; a bare name is of the server's default realm.
func (c *client) ref(text string) (principal.Ref, error) {
	fallback := "users"
	if !strings.Contains(text, "@") {
		var err error
		if fallback, err = c.defaultRealm(); err != nil {
			return principal.Ref{}, err
		}
	}
	return typed(text, fallback)
}

// userRef is ref for a user's path, in which some names of realms with exact names
// have no place: there the id stands for the name.
func (c *client) userRef(text string) (principal.Ref, error) {
	ref, err := c.ref(text)
	if err == nil && !principal.InPath(ref.Name) {
		return principal.Ref{}, usage("the name %s cannot stand in a path: give ID@%s, with the id that `user list --realm %s --json` shows", shown(ref.Name), ref.Realm, ref.Realm)
	}
	return ref, err
}

// typed reads name@realm, split at the last @, or a bare name of fallback. A name that
// can be one in no realm but those with exact names stays as it was typed, and so does
// one that would be folded: the server knows which of the two the realm has.
func typed(text, fallback string) (principal.Ref, error) {
	name, realm := text, fallback
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		name, realm = text[:at], text[at+1:]
	}
	realm, err := principal.CanonicalRealm(realm)
	if err != nil {
		return principal.Ref{}, err
	}
	name, err = principal.ExactName(name)
	return principal.Ref{Name: name, Realm: realm}, err
}

// defaultRealm is where the server looks for a name without a realm.
func (c *client) defaultRealm() (string, error) {
	var realms realmList
	if err := c.call(http.MethodGet, "/realms", nil, &realms); err != nil {
		return "", err
	}
	return realms.fallback(), nil
}

// fallback is the realm of names without one.
func (l realmList) fallback() string {
	for _, r := range l.Realms {
		if r.Default {
			return r.Realm
		}
	}
	return "users"
}

// userPath is the path of a user's record.
func userPath(ref principal.Ref) string {
	return "/users/" + url.PathEscape(ref.Realm) + "/" + url.PathEscape(ref.Name)
}
