package proxy_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/proxy"
)

// flaky is a Sessions whose store fails for a while.
type flaky struct {
	*sessions
	failing, gone atomic.Bool
	asked         atomic.Int32
}

func (f *flaky) Again(_ context.Context, l session.Live) (session.Live, error) {
	f.asked.Add(1)
	switch {
	case f.failing.Load():
		return session.Live{}, errors.New("store failed")
	case f.gone.Load():
		return session.Live{}, session.ErrNone
	}
	return l, nil
}

type robots struct{ who *account.Identity }

func (p robots) Program(context.Context, principal.Ref, string, netip.Addr) (*account.Identity, error) {
	return p.who, nil
}

// Attack: a service is disabled in the moment in which the store does not answer.
// Before, its stream stayed open for good: nobody asked again.
func TestServiceStreamsEndThoughTheStoreFailed(t *testing.T) {
	for name, recovers := range map[string]bool{"the store recovers": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &flaky{sessions: &sessions{live: map[string]session.Live{}, subs: map[string]map[int]func(bool){}}}
			rules, err := guard.Compile([]guard.Rule{{Services: []string{"@robots"}}}, guard.CompileOptions{})
			if err != nil {
				t.Fatal(err)
			}
			who := &account.Identity{ID: principal.NewID(), Kind: principal.Service, Name: "deploy", Realm: "robots", Enabled: true}
			g, err := guard.New(guard.Options{Rules: rules, Sessions: f, Programs: robots{who}})
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				close(ended)
			})
			h, err := proxy.New(proxy.Options{Guard: g, Site: func(string) *web.LoginSite { return &web.LoginSite{} }, Next: next, Subscribe: f.Subscribe, WatchAfter: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			front := httptest.NewServer(h)
			defer front.Close()
			go func() {
				req, err := http.NewRequest("GET", front.URL+"/stream", nil)
				if err != nil {
					return
				}
				req.SetBasicAuth("deploy@robots", "123456")
				if res, err := http.DefaultClient.Do(req); err == nil {
					_ = res.Body.Close()
				}
			}()
			wait(t, func() bool { return f.watched("") == 1 && f.asked.Load() > 0 })
			f.gone.Store(true)
			f.failing.Store(true)
			before := f.asked.Load()
			f.tell("")
			wait(t, func() bool { return f.asked.Load() > before })
			if recovers {
				f.failing.Store(false)
			}
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Error("the stream of a disabled service is open")
			}
		})
	}
}
