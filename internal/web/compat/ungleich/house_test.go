package ungleich_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
	"github.com/sallyport-auth/sallyport/internal/web/compat/ungleich"
)

const (
	admins  = "ungleich-admin"
	askers  = "ungleich-auth"
	appsIn  = "ungleich-apps"
	others  = "micro"
	jsonIs  = "Content-Type: application/json"
	formIs  = "Content-Type: application/x-www-form-urlencoded"
	wrong   = `{"detail":"Incorrect authentication credentials."}`
	noRight = `{"detail":"You do not have permission to perform this action."}`
	unique  = `{"non_field_errors":["The fields name, realm must make a unique set."]}`
	ok      = `{"status":"OK"}`
	failed  = `{"status":"FAIL"}`
)

// house is a world with the facade in it.
type house struct {
	*compattest.World
	facade *ungleich.Facade
}

// newHouse puts the facade into a world whose realms have what the gateway gives them.
func newHouse(t testing.TB, change func(*ungleich.Options)) *house {
	t.Helper()
	skew := 3
	realm := account.Settings{Skew: &skew, Replay: account.ReplayAllow, Names: account.NamesExact}
	w := compattest.New(t, map[string]account.Settings{admins: realm, askers: realm, appsIn: realm}, admins, askers)
	o := ungleich.Options{Rooms: w.Rooms, Common: compat.Common{Facade: "ungleich"}}
	if change != nil {
		change(&o)
	}
	f, err := ungleich.New(o)
	w.Must(err)
	w.Serve(f)
	return &house{w, f}
}

// service is somebody with a seed.
type service struct {
	h           *house
	name, realm string
	number      uint64
	seed        string
}

func (h *house) service(name, realm string, more ...func(*account.NewService)) *service {
	h.Helper()
	n := account.NewService{Ref: principal.Ref{Name: name, Realm: realm}, MakeRealm: true}
	for _, m := range more {
		m(&n)
	}
	s := &service{h: h, name: name, realm: realm}
	h.Must(h.Store.Update(h.Context(), func(tx store.Tx) error {
		made, err := h.Directory.CreateService(tx, account.Local(), n)
		if err == nil {
			s.number, s.seed = made.Number, otp.FormatSeed(made.Newest().Secret)
		}
		return err
	}))
	return s
}

func (h *house) app(id, owner string, trusted bool) *service {
	h.Helper()
	return h.service(id, appsIn, func(n *account.NewService) { n.Owner, n.Trusted, n.Description = owner, trusted, "app of "+owner })
}

// token is what oathtool says now.
func (s *service) token() string { return s.h.Code(s.seed, "SHA1", 6, 30) }

// wrongToken is none of the window's.
func (s *service) wrongToken() string {
	s.h.Helper()
	secret, err := otp.ParseSeed(s.seed)
	s.h.Must(err)
	for n := range 20 {
		guess := fmt.Sprintf("%06d", 50_000*n+7)
		if _, hit := otp.Match(secret, otp.Default(), guess, s.h.Time.Now(), 10, -1); hit == otp.NoMatch {
			return guess
		}
	}
	s.h.Fatal("no wrong token")
	return ""
}

// early and late are the own fields in the words of the ages C and D.
func (s *service) early() body {
	return body{"name": s.name, "realm": s.realm, "token": s.token()}
}

func (s *service) late() body {
	return body{"auth_name": s.name, "auth_realm": s.realm, "auth_token": s.token()}
}

// body is a JSON object.
type body map[string]any

// and is a body with more fields, in pairs; nil takes one away.
func (b body) and(more ...any) body {
	all := body{}
	for name, v := range b {
		all[name] = v
	}
	for i := 0; i+1 < len(more); i += 2 {
		name := more[i].(string)
		if all[name] = more[i+1]; more[i+1] == nil {
			delete(all, name)
		}
	}
	return all
}

func (b body) json() string {
	text, err := json.Marshal(b)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (b body) form() string {
	v := url.Values{}
	for name, text := range b {
		v.Set(name, fmt.Sprint(text))
	}
	return v.Encode()
}

func (h *house) send(method, path string, b body) compattest.Answer {
	h.Helper()
	return h.Do(method, path, b.json(), jsonIs)
}

// want compares status, content type and body, which may differ in white space alone.
func (h *house) want(what string, got compattest.Answer, status int, body string) {
	h.Helper()
	same := got.Body == body
	if strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[") {
		var a, b any
		if json.Unmarshal([]byte(got.Body), &a) == nil && json.Unmarshal([]byte(body), &b) == nil {
			same = reflect.DeepEqual(a, b)
		}
		if is := got.Header.Get("Content-Type"); is != "application/json" {
			h.Errorf("%s: content type %q", what, is)
		}
	}
	if got.Status != status || !same {
		h.Errorf("%s: %d %s, want %d %s", what, got.Status, got.Body, status, body)
	}
}

func (h *house) entryJSON(s *service, seed string) string {
	return fmt.Sprintf(`{"name":%q,"realm":%q,"seed":%q}`, s.name, s.realm, seed)
}

// entry is the path of a service.
func (s *service) entry() string { return fmt.Sprintf("/ungleichotp/%d/", s.number) }

// from makes all requests come from an address.
func from(addr string) func(*ungleich.Options) {
	return func(o *ungleich.Options) {
		o.Client = func(*http.Request) netip.Addr { return netip.MustParseAddr(addr) }
	}
}

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}
