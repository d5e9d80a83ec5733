package guard_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/session"
)

// one is a Sessions that costs nothing: what is measured is the guard.
type one struct{ live session.Live }

func (o *one) Live(context.Context, string, time.Time) (session.Live, error) { return o.live, nil }
func (o *one) Again(context.Context, session.Live) (session.Live, error)     { return o.live, nil }

func (o *one) VerifyAccess(context.Context, string) (session.Live, error) {
	return session.Live{}, session.ErrNone
}

// twenty is a list of 20 rules, of which the last decides.
func twenty() []guard.Rule {
	var rules []guard.Rule
	for i := range 15 {
		rules = append(rules, guard.Rule{Hosts: []string{fmt.Sprintf("app%d.example.com", i)}, Realms: []string{"users"}})
	}
	return append(rules,
		guard.Rule{Hosts: []string{"grafana.example.com"}, Paths: []string{"/admin/*"}, Realms: []string{"staff"}, Groups: []string{"ops"}},
		guard.Rule{Hosts: []string{"*.example.com"}, Paths: []string{"/public/*"}, Factors: num(0)},
		guard.Rule{Hosts: []string{"*.example.com"}, Methods: []string{"DELETE"}, Realms: []string{"staff"}},
		guard.Rule{Hosts: []string{"*.example.com"}, Networks: []string{"10.0.0.0/8"}, Factors: num(0)},
		guard.Rule{Hosts: []string{"*.example.com"}, Realms: []string{"users", "staff"}})
}

func benchGuard(b testing.TB, s guard.Sessions) *guard.Guard {
	rules, err := guard.Compile(twenty(), guard.CompileOptions{})
	if err != nil {
		b.Fatal(err)
	}
	g, err := guard.New(guard.Options{Rules: rules, Sessions: s})
	if err != nil {
		b.Fatal(err)
	}
	return g
}

func benchRequest() *guard.Request {
	return &guard.Request{Method: "GET", Scheme: "https", Host: "grafana.example.com", Path: "/d/abc/some-dashboard", Cookie: "alice", Client: netip.MustParseAddr("203.0.113.7")}
}

// BenchmarkCheckRules is Check without the price of a session look-up.
func BenchmarkCheckRules(b *testing.B) {
	g, req := benchGuard(b, &one{everybody().cookies["alice"]}), benchRequest()
	b.ReportAllocs()
	for b.Loop() {
		if d := g.Check(b.Context(), req); d.Outcome != guard.Allow {
			b.Fatal(d.Reason)
		}
	}
}

// BenchmarkCheckViews is a path that has to be read in many ways.
func BenchmarkCheckViews(b *testing.B) {
	g, req := benchGuard(b, &one{everybody().cookies["alice"]}), benchRequest()
	req.Path = "/Public%20Documents/My;v=1/%41bc.PDF"
	b.ReportAllocs()
	for b.Loop() {
		if d := g.Check(b.Context(), req); d.Outcome != guard.Allow {
			b.Fatal(d.Reason)
		}
	}
}

// The hot path does not allocate by itself.
func TestCheckDoesNotAllocate(t *testing.T) {
	g, req := benchGuard(t, &one{everybody().cookies["alice"]}), benchRequest()
	if n := testing.AllocsPerRun(100, func() { g.Check(context.Background(), req) }); n > 0 {
		t.Fatalf("Check allocates %v times", n)
	}
}
