package compat_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// world is the rooms that the gate asks, with a clock of its own.
type world struct {
	t     *testing.T
	clock *storetest.Clock
	store store.Store
	rooms compat.Rooms
	log   []audit.Event
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: storetest.NewClock(time.Date(2026, 5, 4, 9, 0, 5, 0, time.UTC))}
	st := storetest.Open(t, w.clock.Now)
	log := audit.New(audit.Options{Clock: w.clock.Now})
	dir := account.New(account.Options{Audit: log})
	if err := dir.EnsureReserved(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	counters := throttle.New(throttle.DefaultPolicy(), st.Derive("throttle"))
	trusted := web.Trusted{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.9.9.9/32")}}
	w.store = st
	w.rooms = compat.Rooms{
		Store: st, Directory: dir, Throttle: counters, Audit: log, Derive: st.Derive, Clock: w.clock.Now, Client: trusted.Client,
		Programs: login.NewPrograms(login.ProgramOptions{Store: st, Directory: dir, Throttle: counters, Audit: log, Derive: st.Derive, Clock: w.clock.Now}),
	}
	t.Cleanup(log.Subscribe(func(e audit.Event) { w.log = append(w.log, e) }))
	return w
}

// service makes one and returns its Basic credential as a function of now.
func (w *world) service(name, realm string) func() string {
	w.t.Helper()
	var seed []byte
	err := w.store.Update(w.t.Context(), func(tx store.Tx) error {
		s, err := w.rooms.Directory.CreateService(tx, account.Local(), account.NewService{Ref: principal.Ref{Name: name, Realm: realm}, MakeRealm: true})
		if err == nil {
			seed = s.Seeds[0].Secret
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return func() string {
		token, err := otp.Default().Code(seed, otp.Default().Step(w.clock.Now()))
		if err != nil {
			w.t.Fatal(err)
		}
		return basic(name+"@"+realm, token)
	}
}

func basic(name, token string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+token))
}

// request comes from an address, for a host, with headers in pairs.
func request(from, host string, header ...string) *http.Request {
	r := httptest.NewRequest("POST", "/verify", nil)
	r.RemoteAddr, r.Host = from, host
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func networks(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// Attack: a program elsewhere calls what is for this host alone, by whatever says
// that it is here: headers, a proxy of this host, a socket without an address.
func TestWhoMayCallAtAll(t *testing.T) {
	w := newWorld(t)
	const here, there, socket = "127.0.0.1:5000", "192.0.2.7:5000", "@"
	for _, c := range []struct {
		name  string
		allow []netip.Prefix
		call  compat.Call
		from  string
		head  []string
		good  bool
	}{
		{"this host", nil, compat.Call{Loopback: true}, here, nil, true},
		{"this host, version 6", nil, compat.Call{Loopback: true}, "[::1]:5000", nil, true},
		{"this host, mapped", nil, compat.Call{Loopback: true}, "[::ffff:127.0.0.1]:5000", nil, true},
		{"another host", nil, compat.Call{Loopback: true}, there, nil, false},
		{"a socket's peer is nobody", nil, compat.Call{Loopback: true}, socket, nil, false},
		{"forwarded here", nil, compat.Call{Loopback: true}, here, []string{"X-Forwarded-For", "127.0.0.1"}, false},
		{"forwarded without an address", nil, compat.Call{Loopback: true}, here, []string{"Via", "1.1 x"}, false},
		{"forwarded, oddly spelt", nil, compat.Call{Loopback: true}, here, []string{"X_Forwarded_For", "127.0.0.1"}, false},
		{"a login from anywhere", nil, compat.Call{}, there, nil, true},
		{"a login over a socket", nil, compat.Call{}, socket, nil, true},
		{"a login, forwarded", nil, compat.Call{}, here, []string{"X-Forwarded-For", "198.51.100.1"}, true},
		{"in the network", networks("192.0.2.0/24"), compat.Call{Loopback: true}, there, nil, true},
		{"allow_from is for logins too", networks("10.0.0.0/8"), compat.Call{}, there, nil, false},
		{"this host is not in the network", networks("192.0.2.0/24"), compat.Call{Loopback: true}, here, nil, false},
		{"loopback named, forwarded", networks("127.0.0.0/8"), compat.Call{}, here, []string{"X-Forwarded-For", "192.0.2.7"}, false},
		{"everybody named, a socket", networks("0.0.0.0/0", "::/0"), compat.Call{}, socket, nil, false},
		{"nobody named", []netip.Prefix{}, compat.Call{}, here, nil, false},
		{"past a trusted proxy", networks("192.0.2.0/24"), compat.Call{}, "10.9.9.9:1", []string{"X-Forwarded-For", "192.0.2.7"}, true},
		{"a trusted proxy's own address", networks("10.0.0.0/8"), compat.Call{}, "10.9.9.9:1", []string{"X-Forwarded-For", "192.0.2.7"}, false},
		{"nginx with HTTP/1.1 and what Cloudflare set", nil, compat.Call{Loopback: true}, here, []string{"Cf-Ray", "x"}, false},
		{"a login from the same", nil, compat.Call{}, here, []string{"Cf-Ray", "x"}, true},
		{"the same, where somebody named this host", networks("127.0.0.1/32"), compat.Call{Loopback: true}, here, []string{"Cf-Ray", "x"}, true},
		{"a trusted proxy says loopback", nil, compat.Call{Loopback: true}, "10.9.9.9:1", []string{"X-Forwarded-For", "127.0.0.1"}, false},
	} {
		g := compat.NewGate(w.rooms, compat.Common{AllowFrom: c.allow})
		_, refused := g.Admit(request(c.from, "x.example", c.head...), c.call)
		if (refused == nil) != c.good || refused != nil && refused.Status != 403 {
			t.Errorf("%s: %+v, want let in: %v", c.name, refused, c.good)
		}
	}
}

// Attack: a proxy of this host that was told nothing (nginx's bare proxy_pass speaks
// HTTP/1.0 and adds no header), or that passes on what the CDN before it has set,
// makes all the world look like this host.
func TestSilentProxiesAreNotThisHost(t *testing.T) {
	w := newWorld(t)
	g := compat.NewGate(w.rooms, compat.Common{})
	for _, name := range []string{"Client-IP", "CF-Connecting-IP", "CF-Ray", "CDN-Loop", "Fastly-Client-IP", "Fly-Client-IP", "X-Azure-ClientIP",
		"X-Envoy-External-Address", "X-Remote-IP", "X-ProxyUser-Ip", "X-Originating-IP", "X-Amzn-Trace-Id", "True-Client-IP", "cf_connecting_ip", "Clientip", "X-CLIENT.IP"} {
		if _, refused := g.Admit(request("127.0.0.1:1", "localhost", name, "127.0.0.1"), compat.Call{Loopback: true}); refused == nil || refused.Status != 403 {
			t.Errorf("%s: %+v", name, refused)
		}
	}
	old := request("127.0.0.1:1", "localhost")
	old.Proto, old.ProtoMajor, old.ProtoMinor = "HTTP/1.0", 1, 0
	if _, refused := g.Admit(old, compat.Call{Loopback: true}); refused == nil || refused.Status != 403 {
		t.Errorf("HTTP/1.0: %+v", refused)
	}
	if _, refused := g.Admit(old, compat.Call{}); refused != nil {
		t.Errorf("a login by HTTP/1.0: %+v", refused)
	}
	if _, refused := compat.NewGate(w.rooms, compat.Common{AllowFrom: networks("127.0.0.0/8")}).Admit(old, compat.Call{Loopback: true}); refused != nil {
		t.Errorf("HTTP/1.0 where somebody named this host: %+v", refused)
	}
	next := request("127.0.0.1:1", "localhost", "User-Agent", "curl/8", "Accept", "*/*")
	next.Proto, next.ProtoMajor, next.ProtoMinor = "HTTP/2.0", 2, 0
	if _, refused := g.Admit(next, compat.Call{Loopback: true}); refused != nil {
		t.Errorf("HTTP/2: %+v", refused)
	}
}

// Attack: a page that somebody on this machine looks at sends requests to what
// authenticates nobody, from its own origin or under a name that it made point here.
func TestPagesDoNotReachWhatIsOpen(t *testing.T) {
	w := newWorld(t)
	g := compat.NewGate(w.rooms, compat.Common{OwnHost: func(h string) bool { return h == "auth.example.com" }})
	for _, c := range []struct {
		host string
		head []string
		good bool
	}{
		{"localhost:9091", nil, true},
		{"LOCALHOST", nil, true},
		{"127.0.0.1:9091", nil, true},
		{"127.8.8.8", nil, true},
		{"[::1]:9091", nil, true},
		{"auth.example.com:8443", nil, true},
		{"rebound.example", nil, false},
		{"localhost.example", nil, false},
		{"127.0.0.1.example", nil, false},
		{"192.0.2.1", nil, false},
		{"", nil, false},
		{"localhost", []string{"Origin", "http://localhost"}, false},
		{"localhost", []string{"Origin", "null"}, false},
		{"localhost", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"localhost", []string{"Sec-Fetch-Site", "same-site"}, false},
		{"localhost", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "none"}, false},
		{"localhost", []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"localhost", []string{"Sec-Fetch-Site", "none"}, true},
	} {
		_, refused := g.Admit(request("127.0.0.1:1", c.host, c.head...), compat.Call{Open: true})
		if (refused == nil) != c.good || refused != nil && refused.Status != 403 {
			t.Errorf("%s %v: %+v, want let in: %v", c.host, c.head, refused, c.good)
		}
	}
	if _, refused := g.Admit(request("127.0.0.1:1", "rebound.example", "Origin", "https://a.example"), compat.Call{}); refused != nil {
		t.Errorf("a call that proves itself: %+v", refused)
	}
}

// Attack: any page in a browser of this host sends wrong tokens of a service until it
// is locked out, or reads answers under a name that it made point here.
func TestPagesDoNotMakeTheCallsOfPrograms(t *testing.T) {
	w := newWorld(t)
	const listed = "https://app.example.com"
	common := compat.Common{CORS: []string{listed}, OwnHost: func(h string) bool { return h == "auth.example.com" }}
	open := common
	open.AllowFrom = networks("127.0.0.0/8")
	for _, c := range []struct {
		host      string
		head      []string
		good, far bool // without allow_from, and with it
	}{
		{"localhost:9091", nil, true, true},
		{"auth.example.com", nil, true, true},
		{"rebound.example", nil, false, true},
		{"localhost", []string{"Origin", "null"}, false, false},
		{"localhost", []string{"Origin", "http://localhost", "Sec-Fetch-Site", "same-origin"}, false, false},
		{"localhost", []string{"Sec-Fetch-Site", "cross-site"}, false, false},
		{"localhost", []string{"Sec-Fetch-Site", "none"}, true, true},
		{"localhost", []string{"Origin", listed, "Sec-Fetch-Site", "cross-site"}, true, true},
		{"localhost", []string{"Origin", listed, "Origin", listed}, false, false},
		{"rebound.example", []string{"Origin", listed}, false, true},
	} {
		for _, d := range []struct {
			common compat.Common
			want   bool
		}{{common, c.good}, {open, c.far}} {
			_, refused := compat.NewGate(w.rooms, d.common).Admit(request("127.0.0.1:1", c.host, c.head...), compat.Call{Loopback: true, Programs: true})
			if (refused == nil) != d.want || refused != nil && refused.Status != 403 {
				t.Errorf("%s %v, allow_from %v: %+v, want let in: %v", c.host, c.head, d.common.AllowFrom, refused, d.want)
			}
		}
	}
}

// Pages of our own origin, and of listed ones, make a Listed call; all others do not.
func TestListedPagesMakeListedCalls(t *testing.T) {
	w := newWorld(t)
	const listed = "https://app.example.com"
	g := compat.NewGate(w.rooms, compat.Common{CORS: []string{listed}, OwnHost: func(h string) bool { return h == "auth.example.com" },
		Scheme: func(*http.Request) string { return "https" }})
	for _, c := range []struct {
		host string
		head []string
		good bool
	}{
		{"auth.example.com", nil, true},
		{"auth.example.com", []string{"Origin", "https://auth.example.com", "Sec-Fetch-Site", "same-origin"}, true},
		{"auth.example.com:8443", []string{"Origin", "https://auth.example.com:8443"}, true},
		{"auth.example.com:8443", []string{"Origin", "https://auth.example.com"}, false},
		{"auth.example.com", []string{"Origin", "http://auth.example.com"}, false},
		{"auth.example.com", []string{"Origin", "https://auth.example.com", "Sec-Fetch-Site", "same-site"}, false},
		{"auth.example.com", []string{"Origin", listed, "Sec-Fetch-Site", "same-site"}, true},
		{"auth.example.com", []string{"Origin", "https://b.example.com", "Sec-Fetch-Site", "same-site"}, false},
		{"auth.example.com", []string{"Origin", "null"}, false},
		{"rebound.example", []string{"Origin", "https://rebound.example"}, false},
		{"rebound.example", []string{"Origin", listed}, false},
	} {
		if _, refused := g.Admit(request("192.0.2.7:1", c.host, c.head...), compat.Call{Open: true, Listed: true}); (refused == nil) != c.good {
			t.Errorf("%s %v: %+v, want let in: %v", c.host, c.head, refused, c.good)
		}
	}
	if _, refused := g.Admit(request("192.0.2.7:1", "auth.example.com", "Origin", listed), compat.Call{Open: true}); refused == nil {
		t.Error("a listed page made an Open call that is not Listed")
	}
}

// Without a portal programs of other machines call this one by its address, which
// nobody else can make point here.
func TestOpenCallsAreAnsweredUnderTheMachinesOwnAddress(t *testing.T) {
	w := newWorld(t)
	g := compat.NewGate(w.rooms, compat.Common{AllowFrom: networks("192.0.2.0/24")})
	for _, c := range []struct {
		host  string
		local net.Addr
		good  bool
	}{
		{"192.0.2.2:9091", &net.TCPAddr{IP: net.ParseIP("192.0.2.2"), Port: 9091}, true},
		{"192.0.2.2:80", &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.2"), Port: 9091}, true},
		{"[2001:db8::2]:9091", &net.TCPAddr{IP: net.ParseIP("2001:db8::2"), Port: 9091, Zone: "eth0"}, true},
		{"192.0.2.3:9091", &net.TCPAddr{IP: net.ParseIP("192.0.2.2"), Port: 9091}, false},
		{"rebound.example:9091", &net.TCPAddr{IP: net.ParseIP("192.0.2.2"), Port: 9091}, false},
		{"192.0.2.2", &net.UnixAddr{Name: "192.0.2.2", Net: "unix"}, false},
		{"192.0.2.2", nil, false},
	} {
		r := request("192.0.2.7:1", c.host)
		if c.local != nil {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.local))
		}
		if _, refused := g.Admit(r, compat.Call{Open: true}); (refused == nil) != c.good || refused != nil && refused.Code != "host" {
			t.Errorf("%s at %v: %+v, want let in: %v", c.host, c.local, refused, c.good)
		}
	}
}

// With `require` nobody comes in but that one service: not another with a token as
// good, not by a browser, and not in the header that the call itself needs.
func TestRequireDemandsThatOneService(t *testing.T) {
	w := newWorld(t)
	good, other, twin := w.service("billing", "robots"), w.service("deploy", "robots"), w.service("billing", "machines")
	g := compat.NewGate(w.rooms, compat.Common{Facade: "trench", Require: principal.Ref{Name: "billing", Realm: "robots"}})
	for _, c := range []struct {
		name string
		call compat.Call
		head []string
		good bool
	}{
		{"it", compat.Call{}, []string{"Authorization", good()}, true},
		{"it, in capitals", compat.Call{}, []string{"Authorization", strings.Replace(good(), "Basic", "BASIC", 1)}, true},
		{"nobody", compat.Call{}, nil, false},
		{"another service", compat.Call{}, []string{"Authorization", other()}, false},
		{"its twin of another realm", compat.Call{}, []string{"Authorization", twin()}, false},
		{"a wrong token", compat.Call{}, []string{"Authorization", basic("billing@robots", "000000")}, false},
		{"a name without a realm", compat.Call{}, []string{"Authorization", basic("billing", "000000")}, false},
		{"garbage", compat.Call{}, []string{"Authorization", "Basic !!!"}, false},
		{"twice", compat.Call{}, []string{"Authorization", good(), "Authorization", good()}, false},
		{"a browser", compat.Call{}, []string{"Authorization", good(), "Sec-Fetch-Site", "none"}, false},
		{"a page", compat.Call{}, []string{"Authorization", good(), "Origin", "https://a.example"}, false},
		{"the proxy's header, where it is not asked for", compat.Call{}, []string{"Proxy-Authorization", good()}, false},
		{"the proxy's header", compat.Call{Authorization: true}, []string{"Proxy-Authorization", good(), "Authorization", "Bearer x"}, true},
		{"the call's own header", compat.Call{Authorization: true}, []string{"Authorization", good()}, false},
	} {
		_, refused := g.Admit(request("192.0.2.7:1", "x.example", c.head...), c.call)
		if (refused == nil) != c.good || refused != nil && (refused.Status != 401 || refused.Challenge != web.BasicChallenge) {
			t.Errorf("%s: %+v, want let in: %v", c.name, refused, c.good)
		}
	}
	if n := len(w.log); n == 0 || !hasCause(w.log, "not_required") {
		t.Errorf("of %d events none says that another service came", n)
	}
}

func hasCause(log []audit.Event, cause string) bool {
	for _, e := range log {
		if e.Cause == cause {
			return true
		}
	}
	return false
}

// Tokens are guessed at this door as slowly as at any other, and a store that does
// not answer admits nobody.
func TestRequireIsThrottledAndFailsClosed(t *testing.T) {
	w := newWorld(t)
	good := w.service("billing", "robots")
	g := compat.NewGate(w.rooms, compat.Common{Require: principal.Ref{Name: "billing", Realm: "robots"}})
	var last *compat.Refusal
	for i := 0; i < 100 && (last == nil || last.Status != 429); i++ {
		_, last = g.Admit(request("192.0.2.7:1", "x.example", "Authorization", basic("billing@robots", "000000")), compat.Call{})
	}
	if last == nil || last.Status != 429 || last.Wait <= 0 {
		t.Errorf("after a hundred wrong tokens: %+v", last)
	}
	w.rooms.Programs = login.NewPrograms(login.ProgramOptions{Store: broken{w.store}, Directory: w.rooms.Directory, Throttle: w.rooms.Throttle,
		Audit: w.rooms.Audit, Derive: w.rooms.Derive, Clock: w.clock.Now})
	g = compat.NewGate(w.rooms, compat.Common{Require: principal.Ref{Name: "billing", Realm: "robots"}})
	if _, refused := g.Admit(request("192.0.2.8:1", "x.example", "Authorization", good()), compat.Call{}); refused == nil || refused.Status != 503 {
		t.Errorf("a broken store: %+v", refused)
	}
}

// broken is a store whose disk is gone.
type broken struct{ store.Store }

func (broken) View(_ context.Context, _ func(store.Tx) error) error {
	return errors.New("the disk is gone")
}

func TestCORSIsForListedOriginsAlone(t *testing.T) {
	w := newWorld(t)
	g := compat.NewGate(w.rooms, compat.Common{CORS: []string{"https://app.example.com"}})
	for _, c := range []struct {
		method string
		head   []string
		allow  string
		done   bool
	}{
		{"OPTIONS", []string{"Origin", "https://app.example.com", "Access-Control-Request-Method", "PUT"}, "https://app.example.com", true},
		{"OPTIONS", []string{"Origin", "https://app.example.com"}, "https://app.example.com", false},
		{"GET", []string{"Origin", "https://app.example.com"}, "https://app.example.com", false},
		{"OPTIONS", []string{"Origin", "https://app.example.com.evil.example", "Access-Control-Request-Method", "PUT"}, "", false},
		{"OPTIONS", []string{"Origin", "null", "Access-Control-Request-Method", "PUT"}, "", false},
		{"GET", nil, "", false},
	} {
		r := request("192.0.2.7:1", "x.example", c.head...)
		r.Method = c.method
		rec := httptest.NewRecorder()
		if done := g.CORS(rec, r); done != c.done {
			t.Errorf("%s %v: done %v", c.method, c.head, done)
		}
		h := rec.Header()
		if h.Get("Access-Control-Allow-Origin") != c.allow || h.Get("Vary") != "Origin" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %v: %v", c.method, c.head, h)
		}
		if c.done && (rec.Code != 204 || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Proxy-Authorization")) {
			t.Errorf("%s %v: %d %v", c.method, c.head, rec.Code, h)
		}
	}
	rec := httptest.NewRecorder()
	compat.NewGate(w.rooms, compat.Common{}).CORS(rec, request("192.0.2.7:1", "x.example", "Origin", "https://app.example.com"))
	if len(rec.Header()) != 0 {
		t.Errorf("without cors: %v", rec.Header())
	}
}
