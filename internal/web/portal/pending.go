package portal

import (
	"crypto/rand"
	"encoding/base32"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/login"
)

// Between the doors a browser holds an ephemeral token in a cookie of its
// own, one per login: two logins in two windows have two cookies, and each
// comes back to its own target. Forms and URLs name the login by a short id
// (parameter l), which is no secret and opens nothing without the cookie.

const (
	pendingName = "sallyport_login_"
	// maxPending bounds the cookies of unfinished logins in one browser, which
	// it sends with every request; the oldest are cleared.
	maxPending = 5
	// pendingClock and pendingRandom are the lengths of the two parts of an id:
	// seconds since the epoch in base 36, so that ids sort by age, and chance.
	pendingClock, pendingRandom = 7, 4
)

// newPendingID makes the id of a login that starts now.
func newPendingID(now time.Time) string {
	clock := strconv.FormatInt(max(now.Unix(), 0), 36)
	if len(clock) < pendingClock {
		clock = strings.Repeat("0", pendingClock-len(clock)) + clock
	}
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails: the program ends instead
	return clock[len(clock)-pendingClock:] + strings.ToLower(base32.StdEncoding.EncodeToString(b[:])[:pendingRandom])
}

func isPendingID(id string) bool {
	if len(id) != pendingClock+pendingRandom {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// pendingPrefix is the cookie's name without the id. On https it is a __Host-
// cookie: the browser itself refuses one that a sibling host or plain http
// tried to set.
func (x *exchange) pendingPrefix() string { return x.p.cookies.HostName(pendingName, x.scheme) }

// pendings returns the logins that the browser holds, by id. A name that
// comes twice is none: one of the two was set by somebody else.
func (x *exchange) pendings() map[string]string {
	prefix := x.pendingPrefix()
	found, doubled := map[string]string{}, map[string]bool{}
	for _, c := range x.r.Cookies() {
		id, ok := strings.CutPrefix(c.Name, prefix)
		if !ok || !isPendingID(id) {
			continue
		}
		if _, again := found[id]; again {
			doubled[id] = true
		}
		found[id] = c.Value
	}
	for id := range doubled {
		delete(found, id)
	}
	return found
}

// hold looks up the login that the request is about: the one it names, or,
// where it names none, the only one that the browser holds. It reports
// whether there is a living one.
func (x *exchange) hold() (bool, error) {
	held := x.pendings()
	id := x.param("l")
	if id == "" && len(held) == 1 {
		for only := range held {
			id = only
		}
	}
	token, ok := held[id]
	if !ok {
		return false, nil
	}
	state, err := x.p.doors.Peek(x.r.Context(), token, login.Portal)
	if denied(err) {
		x.clear(x.pendingPrefix() + id)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	x.id, x.token, x.state = id, token, state
	return true, nil
}

// begin gives the browser the token of a new login and returns its id.
func (x *exchange) begin(token string, life time.Duration) string {
	id, prefix := newPendingID(x.now), x.pendingPrefix()
	older := make([]string, 0, maxPending)
	for held := range x.pendings() {
		older = append(older, held)
	}
	slices.Sort(older)
	for len(older) >= maxPending {
		x.clear(prefix + older[0])
		older = older[1:]
	}
	x.cookie(prefix+id, token, life)
	return id
}

// end forgets the login that the request is about.
func (x *exchange) end() {
	if x.id != "" {
		x.clear(x.pendingPrefix() + x.id)
	}
}

// cookie sets one of the portal's own cookies, for this host alone.
// SameSite is Lax, not Strict: who comes from a link in a mail, or is sent
// here by the site that he wanted, arrives from elsewhere. What changes
// anything is a POST, and those are checked for their origin.
func (x *exchange) cookie(name, value string, life time.Duration) {
	http.SetCookie(x.w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: max(1, int(life.Seconds())),
		HttpOnly: true, Secure: x.https(), SameSite: http.SameSiteLaxMode,
	})
}

// clear removes a cookie of this host.
func (x *exchange) clear(name string) {
	http.SetCookie(x.w, &http.Cookie{
		Name: name, Path: "/", MaxAge: -1,
		HttpOnly: true, Secure: x.https(), SameSite: http.SameSiteLaxMode,
	})
}

// https reports whether cookies are to be sent over TLS alone.
func (x *exchange) https() bool { return strings.HasPrefix(x.pendingPrefix(), "__Host-") }
