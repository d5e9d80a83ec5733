package proxy

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/guard"
	"github.com/sallyport-auth/sallyport/internal/session"
)

// watch cuts a stream when its session ends, or when its owner changed so that
// the guard would not let it begin today. Short answers are never watched.
type watch struct {
	mu          sync.Mutex
	stopped     bool
	timer       *time.Timer
	unsubscribe func()
}

// watch follows one request. It cancels within the time that Subscribe
// promises.
func (h *Handler) watch(req guard.Request, live session.Live, now bool, cancel context.CancelFunc) *watch {
	wt := &watch{}
	begin := func() { h.beginWatch(wt, req, live, cancel) }
	if now {
		begin()
		return wt
	}
	wt.timer = time.AfterFunc(h.o.WatchAfter, begin)
	return wt
}

func (h *Handler) beginWatch(wt *watch, req guard.Request, live session.Live, cancel context.CancelFunc) {
	unsubscribe := h.o.Subscribe(live, func(ended bool) {
		// Not on the caller's goroutine: it may hold the store's lock, and the
		// guard may ask the store.
		go func() {
			if ended || !h.mayGoOn(&req, live) {
				cancel()
			}
		}()
	})
	wt.mu.Lock()
	stopped := wt.stopped
	wt.unsubscribe = unsubscribe
	wt.mu.Unlock()
	if stopped {
		unsubscribe()
		return
	}
	// What happened between the decision and the subscription.
	if !h.mayGoOn(&req, live) {
		cancel()
	}
}

// mayGoOn asks the guard again. That a factor grew old while a stream was open
// is not a change that denies it, nor that a service's token did.
func (h *Handler) mayGoOn(req *guard.Request, live session.Live) bool {
	if live.ID == "" {
		return h.o.Guard.GoesOn(context.Background(), req, live)
	}
	d := h.o.Guard.Check(context.Background(), req)
	return d.Outcome == guard.Allow && d.Live.ID != "" || d.Outcome == guard.Challenge && d.Reason == guard.ReasonFresh
}

func (wt *watch) stop() {
	wt.mu.Lock()
	wt.stopped = true
	unsubscribe := wt.unsubscribe
	wt.mu.Unlock()
	if wt.timer != nil {
		wt.timer.Stop()
	}
	if unsubscribe != nil {
		unsubscribe()
	}
}

// trailerBody calls strip when the body has ended and its trailers are there.
type trailerBody struct {
	io.ReadCloser
	strip func()
}

func (b *trailerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.strip()
	}
	return n, err
}
