package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/login/mailtest"
	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/api"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
)

// machine is what the command line finds: a store with the real API in front,
// and perhaps a server that answers.
type machine struct {
	store    store.Store
	admin    http.Handler
	homeless http.Handler     // the same without a portal, so without invitations
	network  http.Handler     // what everybody may call
	rooms    compat.Rooms     // of the facades
	post     *compattest.Post // what is sent to people: nothing, until it offers methods
	server   bool             // AdminDial finds one
	refuses  bool             // the socket is there, and is not ours
	locked   bool             // the store cannot be opened
	missing  bool             // there is no state yet
	closed   int
	directly int
	stdin    string
	began    time.Time // of the first token that a script types
	exit     int
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	st := storetest.Open(t, nil)
	log := audit.New(audit.Options{})
	dir := account.New(account.Options{Audit: log})
	must(dir.EnsureReserved(t.Context(), st))
	post := &compattest.Post{}
	factors := factor.New(factor.Options{Directory: dir, Audit: log, Derive: st.Derive, Sender: post, Own: []factor.Name{compattest.Pager}})
	sessions, err := session.New(session.Options{Store: st, Derive: st.Derive, Directory: dir, Audit: log})
	must(err)
	t.Cleanup(func() { must(sessions.Close()) })
	counters := throttle.New(throttle.DefaultPolicy(), st.Derive("throttle"))
	hasher := secret.NewHasher(secret.HasherOptions{Params: secret.HashParams{MemoryKiB: 64, Time: 1, Threads: 1}})
	doors := login.New(login.Options{Mail: mailtest.New(t), Store: st, Directory: dir, Factors: factors, Sessions: sessions, Throttle: counters,
		Hasher: hasher, Audit: log, Derive: st.Derive, Floor: func() time.Duration { return 0 }})
	dir.OnDelete(func(tx store.Tx, u *account.User) error {
		_, err := sessions.RevokeAll(tx, u.ID, "")
		return errors.Join(err, doors.Forget(tx, u.ID), factors.Forget(tx, u.ID), counters.Forget(tx, u.ID))
	})
	dir.OnDeleteService(func(tx store.Tx, s *account.Service) error { return counters.Forget(tx, s.ID) })
	programs := login.NewPrograms(login.ProgramOptions{Store: st, Directory: dir, Throttle: counters, Audit: log, Derive: st.Derive})
	outbox := notify.New(notify.Options{Store: st, Derive: st.Derive, Clock: time.Now})
	outbox.Use(notify.Settings{Senders: map[string]notify.Sender{notify.Email: notify.Trial{}}}) // nothing is started, so nothing is sent
	options := api.Options{Store: st, Outbox: outbox, Derive: st.Derive, Directory: dir, Factors: factors, Sessions: sessions, Throttle: counters, Programs: programs,
		Doors: doors, Hasher: hasher, Audit: log, Portal: "https://auth.example.com"}
	network, err := api.New(options)
	must(err)
	options.Local = true
	admin, err := api.New(options)
	must(err)
	options.Portal = ""
	homeless, err := api.New(options)
	must(err)
	trusted := web.Loopback()
	rooms := compat.Rooms{Store: st, Directory: dir, Factors: factors, Sessions: sessions, Doors: doors, Programs: programs, Throttle: counters, Hasher: hasher,
		Audit: log, Derive: st.Derive, Clock: time.Now, Client: trusted.Client, Name: "Sallyport"}
	m := &machine{rooms: rooms, post: post, store: st, admin: admin, homeless: homeless, network: network, server: true}
	for range 2 { // sessions to list and to end
		must(m.openSession(t.Context(), dir, sessions))
	}
	for _, to := range []string{"first@example.com", "second@example.com"} {
		must(st.Update(t.Context(), func(tx store.Tx) error {
			return outbox.Queue(tx, notify.Message{Kind: notify.LoginCode, Method: notify.Email, To: to, Realm: "users", Expires: tx.Now().Add(time.Hour),
				Data: map[string]string{notify.FieldCode: "836492"}})
		}))
	}
	return m
}

// openSession makes a session for visitor@users.
func (m *machine) openSession(ctx context.Context, dir *account.Directory, sessions *session.Registry) error {
	return m.store.Update(ctx, func(tx store.Tx) error {
		u, err := dir.Resolve(tx, "visitor", "users")
		if errors.Is(err, account.ErrUnknownUser) {
			n := account.NewUser{}
			n.Ref.Name, n.Ref.Realm, n.FullName = "visitor", "users", "Vi Sitor"
			u, err = dir.Create(tx, account.Local(), n)
		}
		if err != nil {
			return err
		}
		proof := session.Proof{AMR: session.PWD | session.OTP, PasswordAt: tx.Now(), FactorAt: tx.Now()}
		_, err = sessions.Open(tx, session.Opening{User: u, Proof: proof, Kind: session.API,
			Origin: session.Origin{UserAgent: "evil\x1b[2Jagent"}})
		return err
	})
}

// handlerTransport answers requests from a handler, as the socket would.
type handlerTransport struct{ http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	h.ServeHTTP(rec, r)
	return rec.Result(), nil
}

func (m *machine) shell(stdout, stderr io.Writer) command.Shell {
	return command.Shell{
		Version: "v0.0.0-test",
		Serve: func(_ context.Context, g command.Global, f command.ServeFlags) error {
			if f.Listen == "127.0.0.1:2" {
				return errors.New("listen on 127.0.0.1:2: address already in use")
			}
			return json.NewEncoder(stderr).Encode(map[string]any{"state": g.State, "config": g.Config, "flags": f})
		},
		Check: func(_ context.Context, g command.Global) (command.Report, error) {
			switch g.Config {
			case "bad.yaml":
				return command.Report{}, errors.New("bad.yaml:3: rules[0].factors: 0, 1 or 2 is expected")
			case "empty.yaml":
				return command.Report{File: g.Config}, nil
			}
			return command.Report{File: g.Config, Rules: []command.RuleReport{{Number: 1, Name: "all", Text: "Every host: two factors."}},
				Warnings: []string{"No portal: invitations are off."}}, nil
		},
		Proxies: []string{"nginx", "haproxy"},
		Proxy: func(_ context.Context, g command.Global, proxy string) (command.ProxySetup, error) {
			if g.Config == "bad.yaml" {
				return command.ProxySetup{}, errors.New("bad.yaml:1: upstream: leave it out")
			}
			return command.ProxySetup{Proxy: proxy, Warnings: []string{"evil\x1b[2Jwarning"}, Files: []command.ProxyFile{
				{Path: "/etc/" + proxy + "/a.conf", Text: "first;\n"}, {Path: "/etc/" + proxy + "/b.lua", Text: "second()\n"}}}, nil
		},
		Explain: func(_ context.Context, _ command.Global, q command.Question) (command.Explanation, error) {
			if !strings.HasPrefix(q.URL, "http") {
				return command.Explanation{}, errors.New("an absolute URL is expected, such as https://app.example.com/x")
			}
			if q.Service {
				text, err := json.Marshal(q)
				return command.Explanation{Decision: "allow", Rule: 3, Reason: string(text)}, err
			}
			decision := "challenge"
			if q.Factors == 2 {
				decision = "allow"
			}
			if q.Unknown {
				return command.Explanation{Decision: "challenge", Rule: 2, Reason: "unknown: " + q.As}, nil
			}
			return command.Explanation{Decision: decision, Rule: 2, RuleName: "app", Reason: "two factors are demanded, " + strconv.Itoa(q.Factors) + " are there", Trace: []string{"rule 1: another host"}}, nil
		},
		AdminDial: func(context.Context, command.Global) (http.RoundTripper, error) {
			switch {
			case m.refuses:
				return nil, errors.New("admin.sock belongs to another user: run this as that user, or as root")
			case !m.server:
				return nil, nil
			}
			return handlerTransport{m.admin}, nil
		},
		HasState: func(context.Context, command.Global) bool { return !m.missing },
		OpenDirect: func(_ context.Context, g command.Global) (http.Handler, func() error, error) {
			switch {
			case m.locked:
				return nil, nil, errors.New("state directory ./x is in use by another process: stop it first")
			case m.missing && !g.Create:
				return nil, nil, errors.New("there is no state in ./x")
			}
			m.missing = false
			m.directly++
			return m.admin, func() error { m.closed++; return nil }, nil
		},
	}
}

type machineKey struct{}

// TestScripts runs testdata/script. Beside testscript's own words they know:
//
//	sallyport ARGS      one command line, with what `input` gave
//	input FILE          standard input of the next sallyport
//	exits N             the exit code of the last sallyport
//	server on|off|refuses|locked|missing (no server, and no state yet)
//	portal off          from here on there are no invitations
//	opened N            how often the store was opened directly; each was closed
//	fields NAME...      standard output is one JSON object with these fields
//	seed FILE           keep the seed of the JSON on standard output
//	tokens FILE STEPS   standard input of the next sallyport is the token of a seed,
//	                    the same one each time
//	message NAME        keep the id of the first message on standard output, as $NAME
//	private FILE        only the owner may read it
//
// $SERVER is the address of the API for everybody.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			t := env.T().(testing.TB)
			m := newMachine(t)
			env.Values[machineKey{}] = m
			front := httptest.NewServer(m.network)
			t.Cleanup(front.Close)
			env.Setenv("SERVER", front.URL)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sallyport": runSallyport,
			"input": func(ts *testscript.TestScript, _ bool, args []string) {
				of(ts).stdin = ts.ReadFile(args[0])
			},
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				if got := strconv.Itoa(of(ts).exit); (got == args[0]) == neg {
					ts.Fatalf("exit code %s, want %s", got, args[0])
				}
			},
			"server": func(ts *testscript.TestScript, _ bool, args []string) {
				m := of(ts)
				m.server, m.refuses, m.locked, m.missing = args[0] == "on", args[0] == "refuses", args[0] == "locked", args[0] == "missing"
			},
			"portal": func(ts *testscript.TestScript, _ bool, _ []string) { of(ts).admin = of(ts).homeless },
			"opened": func(ts *testscript.TestScript, _ bool, args []string) {
				m := of(ts)
				if strconv.Itoa(m.directly) != args[0] || m.closed != m.directly {
					ts.Fatalf("opened directly %d times, closed %d times, want %s", m.directly, m.closed, args[0])
				}
			},
			"message": keepMessage,
			"fields":  wantFields,
			"seed":    keepSeed,
			"tokens":  typeToken,
			"private": wantPrivate,
		},
	})
}

func of(ts *testscript.TestScript) *machine { return ts.Value(machineKey{}).(*machine) }

func runSallyport(ts *testscript.TestScript, neg bool, args []string) {
	m := of(ts)
	for i, arg := range args { // files of the script
		if strings.HasPrefix(arg, "file:") {
			args[i] = ts.MkAbs(strings.TrimPrefix(arg, "file:"))
		}
	}
	m.exit = command.Run(context.Background(), m.shell(ts.Stdout(), ts.Stderr()), args, strings.NewReader(m.stdin), ts.Stdout(), ts.Stderr())
	m.stdin = ""
	if neg == (m.exit == 0) {
		ts.Fatalf("sallyport %s: exit code %d", strings.Join(args, " "), m.exit)
	}
}

func keepMessage(ts *testscript.TestScript, _ bool, args []string) {
	var messages []struct{ ID string }
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &messages); err != nil || len(messages) == 0 {
		ts.Fatalf("standard output is no list of messages: %v", err)
	}
	ts.Setenv(args[0], messages[0].ID)
}

func wantFields(ts *testscript.TestScript, _ bool, args []string) {
	dec := json.NewDecoder(bytes.NewReader([]byte(ts.ReadFile("stdout"))))
	var object map[string]any
	if err := dec.Decode(&object); err != nil {
		ts.Fatalf("standard output is no JSON object: %v", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		ts.Fatalf("standard output holds more than one document")
	}
	got := slices.Sorted(maps.Keys(object))
	slices.Sort(args)
	if !slices.Equal(got, args) {
		ts.Fatalf("fields %v, want %v", got, args)
	}
}
