package portal

import (
	"crypto/rand"
	"encoding/base32"
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

// pendings returns the logins that the browser holds, by id. A name that
// comes twice is none: one of the two was set by somebody else.
func (x *exchange) pendings() map[string]string {
	prefix := x.p.cookies.HostName(pendingName, x.scheme)
	held := map[string]string{}
	for _, c := range x.r.Cookies() {
		if id, ok := strings.CutPrefix(c.Name, prefix); ok && isPendingID(id) {
			if token := x.p.cookies.Host(x.r.Header, x.scheme, pendingName+id); token != "" {
				held[id] = token
			}
		}
	}
	return held
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
		x.forget(id)
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
	id := newPendingID(x.now)
	older := make([]string, 0, maxPending)
	for held := range x.pendings() {
		older = append(older, held)
	}
	slices.Sort(older)
	for len(older) >= maxPending {
		x.forget(older[0])
		older = older[1:]
	}
	x.keep(id, token, life)
	return id
}

// end forgets the login that the request is about.
func (x *exchange) end() {
	if x.id != "" {
		x.forget(x.id)
	}
}

// keep gives the browser the cookie of a login, for this host alone: on https
// the browser itself refuses one that a sibling host or plain http tried to set.
func (x *exchange) keep(id, token string, life time.Duration) {
	x.p.cookies.SetHost(x.w, x.scheme, pendingName+id, token, life)
}

// forget takes the cookie of a login away.
func (x *exchange) forget(id string) { x.p.cookies.ClearHost(x.w, x.scheme, pendingName+id) }
