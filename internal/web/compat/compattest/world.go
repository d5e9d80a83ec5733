// Package compattest is a house for tests of facades: all rooms over a store in
// memory, with a clock that the test moves, and a real HTTP server in front.
package compattest

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// Start is when a world's clock begins: five seconds into a step of 30.
var Start = time.Date(2026, 5, 4, 9, 0, 5, 0, time.UTC)

// World is the house.
type World struct {
	testing.TB
	compat.Rooms
	Time *storetest.Clock
	Post *Post // what is sent to people; nothing until it offers methods
	Keys *YubiKeys
	URL  string // of the server, once Serve was called

	mu  sync.Mutex
	log strings.Builder
}

// New builds a house with these realms, as a configuration would set them.
func New(t testing.TB, realms map[string]account.Settings, capable ...string) *World {
	t.Helper()
	w := &World{TB: t, Time: storetest.NewClock(Start), Post: &Post{}, Keys: &YubiKeys{}}
	st := storetest.Open(t, w.Time.Now)
	logger := slog.New(slog.NewJSONHandler(writer{w}, nil))
	log := audit.New(audit.Options{Logger: logger, Clock: w.Time.Now})
	dir := account.New(account.Options{Audit: log, Realms: realms, Capable: within(capable), Passwords: secret.PasswordPolicy{MinLength: 8}})
	w.Must(dir.EnsureReserved(t.Context(), st))
	factors := factor.New(factor.Options{Directory: dir, Audit: log, Derive: st.Derive, Sender: w.Post, Own: []factor.Name{Pager}, YubiKeys: w.Keys})
	sessions, err := session.New(session.Options{Store: st, Derive: st.Derive, Directory: dir, Audit: log, Clock: w.Time.Now, Logger: logger})
	w.Must(err)
	t.Cleanup(func() { _ = sessions.Close() })
	dir.SetLiving(sessions)
	counters := throttle.New(throttle.DefaultPolicy(), st.Derive("throttle"))
	hasher := secret.NewHasher(secret.HasherOptions{Params: secret.HashParams{MemoryKiB: 64, Time: 1, Threads: 1}, Queue: 4096})
	doors := login.New(login.Options{
		Store: st, Directory: dir, Factors: factors, Sessions: sessions, Throttle: counters, Hasher: hasher, Audit: log,
		Derive: st.Derive, Clock: w.Time.Now, Logger: logger, Floor: func() time.Duration { return 0 },
	})
	dir.OnDelete(func(tx store.Tx, u *account.User) error {
		_, err := sessions.RevokeAll(tx, u.ID, "")
		return errors.Join(err, doors.Forget(tx, u.ID), factors.Forget(tx, u.ID), counters.Forget(tx, u.ID))
	})
	dir.OnDeleteService(func(tx store.Tx, s *account.Service) error { return counters.Forget(tx, s.ID) })
	programs := login.NewPrograms(login.ProgramOptions{Store: st, Directory: dir, Throttle: counters, Audit: log, Derive: st.Derive, Clock: w.Time.Now})
	trusted := web.Loopback()
	w.Rooms = compat.Rooms{Store: st, Directory: dir, Factors: factors, Sessions: sessions, Doors: doors, Programs: programs,
		Throttle: counters, Hasher: hasher, Audit: log, Derive: st.Derive, Clock: w.Time.Now, Logger: logger,
		Client: func(r *http.Request) netip.Addr { return trusted.Client(r) }, Name: "Sallyport"}
	return w
}

// within gives services of realms something that they may do in a facade.
func within(realms []string) map[string][]account.Grant {
	all := map[string][]account.Grant{}
	for _, realm := range realms {
		all[realm] = []account.Grant{{Capability: account.Authenticate}}
	}
	return all
}

type writer struct{ w *World }

func (l writer) Write(p []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.log.Write(p)
}

// Logged is everything that was logged so far.
func (w *World) Logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

// Must fails the test on an error.
func (w *World) Must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// Serve puts a facade behind a real HTTP server, as the gateway does: without Cookie,
// and with the headers that every answer has. What is not the facade's is 404.
func (w *World) Serve(f compat.Facade) {
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		if !f.Owns(path) {
			http.Error(rw, "not the facade's", http.StatusTeapot)
			return
		}
		r.Header.Del("Cookie")
		rw.Header().Set("Cache-Control", "no-store")
		rw.Header().Set("X-Content-Type-Options", "nosniff")
		f.ServeHTTP(rw, r)
	}))
	w.Cleanup(s.Close)
	w.URL = s.URL
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Do sends a request; headers are "Name: value". Redirects are not followed.
func (w *World) Do(method, path, body string, headers ...string) Answer {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.URL+path, strings.NewReader(body))
	w.Must(err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	w.Must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	w.Must(err)
	return Answer{resp.StatusCode, resp.Header, string(text)}
}

// Code is the code of an authenticator at the world's time, computed by oathtool.
func (w *World) Code(secretBase32, algorithm string, digits, period int) string {
	w.Helper()
	out, err := exec.CommandContext(w.Context(), "oathtool", "--totp="+strings.ToLower(algorithm), "-b", "-d", strconv.Itoa(digits),
		"-s", strconv.Itoa(period)+"s", "-N", w.Time.Now().UTC().Format("2006-01-02 15:04:05 UTC"), secretBase32).Output()
	w.Must(err)
	return strings.TrimSpace(string(out))
}

// User makes a user with a password (none for "") and returns the record.
func (w *World) User(name, realm, email, password string) *account.User {
	w.Helper()
	hash := ""
	if password != "" {
		var err error
		hash, err = w.Hasher.Hash(w.Context(), password)
		w.Must(err)
	}
	var u *account.User
	w.Must(w.Store.Update(w.Context(), func(tx store.Tx) (err error) {
		u, err = w.Directory.Create(tx, account.Local(), account.NewUser{Ref: principal.Ref{Name: name, Realm: realm}, Email: email, PasswordHash: hash, MakeRealm: true})
		return err
	}))
	return u
}
