package portal_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// S1. Attack: a thief posts a change of the account with a good code that he saw,
// and the owner, or an administrator, revokes his session while that is on its
// way: between any two of the transactions that the answer takes. Gained before:
// the change, because who was calling and the code had been judged earlier.
func TestS1NoChangeOutlivesItsSession(t *testing.T) {
	for what, c := range map[string]struct {
		path string
		done string // the page of a change that was made
		form func(h *house, b *browser, e *factor.Enrollment) url.Values
	}{
		"recovery codes": {"/sallyport/account/recovery-codes", "Your recovery codes", func(h *house, b *browser, e *factor.Enrollment) url.Values {
			return url.Values{"code": {h.code(e)}}
		}},
		"authenticator": {"/sallyport/account/totp", "", func(h *house, b *browser, e *factor.Enrollment) url.Values {
			return url.Values{"code": {h.code(e)}}
		}},
		"its confirmation": {"/sallyport/account/totp/confirm", "", func(h *house, b *browser, e *factor.Enrollment) url.Values {
			b.get("/sallyport/account/totp")
			b.submit("/sallyport/account/totp", "code", h.code(e)).want(t, 200, "Set up your authenticator")
			return url.Values{"code": {h.code(b.page.scanned(t))}, "k": {b.page.Forms[0].Fields.Get("k")}}
		}},
		"all other sessions": {"/sallyport/account/sessions/end-others", "", func(*house, *browser, *factor.Enrollment) url.Values { return url.Values{} }},
	} {
		t.Run(what, func(t *testing.T) {
			for nth := 1; ; nth++ {
				ins := &interrupted{}
				h := build(t, plan{before: ins})
				id, e := h.person("alice", "users", true)
				thief, owner := h.browser(), h.browser()
				thief.signIn("alice", e, "")
				owner.signIn("alice", e, "")
				form := c.form(h, thief, e)
				before := h.factorsOf(id)
				revoked := false
				ins.nth, ins.before = nth, func() {
					revoked = true
					live, err := h.sessions.Live(t.Context(), thief.cookie("sallyport_session"), h.clock.Now())
					must(t, err)
					must(t, h.store.Update(t.Context(), func(tx store.Tx) error { return h.sessions.Revoke(tx, live.ID) }))
					before = h.factorsOf(id)
				}
				got := thief.post(c.path, form)
				if !revoked { // the answer takes no more transactions
					if after := h.factorsOf(id); nth == 1 || got.Status >= 400 || c.done == "" && after == before {
						t.Fatalf("nothing is changed without a revocation either: %d\n%s", got.Status, after)
					}
					return
				}
				if after := h.factorsOf(id); after != before || c.done != "" && strings.Contains(got.Body, c.done) {
					t.Errorf("revoked before the transaction %d, and yet: %d\n%s\nwas\n%s", nth, got.Status, after, before)
				}
				owner.get("/sallyport/account/").want(t, 200, "Your account")
			}
		})
	}
}

// factorsOf is what a change of the account would change.
func (h *house) factorsOf(id principal.ID) (all string) {
	h.t.Helper()
	must(h.t, h.store.View(h.t.Context(), func(tx store.Tx) error {
		u, err := h.directory.ByID(tx, id)
		if err != nil {
			return err
		}
		methods, err := h.factors.Methods(tx, id)
		if err != nil {
			return err
		}
		pending, err := h.factors.Pending(tx, id)
		if err != nil && !errors.Is(err, factor.ErrNoPending) {
			return err
		}
		open, err := h.sessions.List(tx, id)
		all = fmt.Sprintf("epoch %d, %d sessions, %+v, pending %v, version %d", u.Epoch, len(open), methods, pending != nil, u.Version)
		return err
	}))
	return all
}
