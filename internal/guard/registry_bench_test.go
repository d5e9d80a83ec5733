package guard_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/storetest"
)

// go test -bench CheckRandom -sessions 1000000 is performance.md's P1; opening
// that many takes minutes.
var manySessions = flag.Int("sessions", 20_000, "sessions that BenchmarkCheckRandom opens")

// openSessions returns a registry and the cookies of n sessions in it, at most
// 100 of each person.
func openSessions(t testing.TB, n int) (*session.Registry, []string) {
	t.Helper()
	s := storetest.Open(t, time.Now)
	log := audit.New(audit.Options{})
	dir := account.New(account.Options{Audit: log})
	registry, err := session.New(session.Options{Store: s, Derive: s.Derive, Directory: dir, Audit: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = registry.Close() })
	ctx := context.Background()
	if err := dir.EnsureReserved(ctx, s); err != nil {
		t.Fatal(err)
	}
	var cookies []string
	for len(cookies) < n {
		var batch []string
		err := s.Update(ctx, func(tx store.Tx) error {
			batch = batch[:0]
			ref := principal.Ref{Name: fmt.Sprintf("person%d", len(cookies)), Realm: "users"}
			u, err := dir.Create(tx, account.Local(), account.NewUser{Ref: ref})
			if err != nil {
				return err
			}
			for range min(100, n-len(cookies)) {
				opened, err := registry.Open(tx, session.Opening{User: u, Kind: session.Browser, Proof: session.Proof{AMR: two, PasswordAt: tx.Now(), FactorAt: tx.Now()}})
				if err != nil {
					return err
				}
				batch = append(batch, opened.Cookie.Reveal())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		cookies = append(cookies, batch...)
	}
	for _, c := range cookies {
		if _, err := registry.Live(ctx, c, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return registry, cookies
}

// BenchmarkCheckHot is one session, asked for again and again (P1: 300 ns).
func BenchmarkCheckHot(b *testing.B) { benchCheck(b, 1) }

// BenchmarkCheckRandom draws from -sessions sessions (P1: 700 ns at a million).
func BenchmarkCheckRandom(b *testing.B) { benchCheck(b, *manySessions) }

func benchCheck(b *testing.B, n int) {
	registry, cookies := openSessions(b, n)
	g, req := benchGuard(b, registry), benchRequest()
	order := make([]string, 1<<14)
	for i := range order {
		order[i] = cookies[rand.IntN(len(cookies))]
	}
	i := 0
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		req.Cookie = order[i&(1<<14-1)]
		i++
		if d := g.Check(b.Context(), req); d.Outcome != guard.Allow {
			b.Fatal(d.Reason)
		}
	}
}

// S1 at the guard: a session that was revoked is refused by the next check,
// and the hot path allocates once at most.
func TestCheckWithTheRegistry(t *testing.T) {
	registry, cookies := openSessions(t, 1)
	g, req := benchGuard(t, registry), benchRequest()
	req.Cookie = cookies[0]
	d := g.Check(t.Context(), req)
	if d.Outcome != guard.Allow || d.Identity.Name != "person0" || d.Live.ID == "" {
		t.Fatalf("%+v", d)
	}
	if n := testing.AllocsPerRun(100, func() { g.Check(context.Background(), req) }); n > 1 {
		t.Errorf("Check allocates %v times", n)
	}
	for _, forged := range []string{cookies[0][:len(cookies[0])-1], cookies[0] + "x", "sps_", "\x00", cookies[0][:len(cookies[0])-1] + "!"} {
		req.Cookie = forged
		if d := g.Check(t.Context(), req); d.Outcome != guard.Challenge {
			t.Errorf("%q: %v", forged, d.Outcome)
		}
	}
}
