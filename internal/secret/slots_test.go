package secret

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// These tests stand inside the package, because they hold a slot for as long
// as they like; synctest owns the time.

func cheapHasher(slots, queue int) *Hasher {
	return NewHasher(HasherOptions{Params: HashParams{MemoryKiB: 8, Time: 1, Threads: 1}, Slots: slots, Queue: queue, MaxWait: 10 * time.Second})
}

func TestBeyondTheQueueTheAnswerIsBusyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refused atomic.Uint64
		h := NewHasher(HasherOptions{Params: HashParams{MemoryKiB: 8, Time: 1, Threads: 1}, Slots: 1, Queue: 2, MaxWait: 10 * time.Second, Refused: &refused})
		h.free <- struct{}{} // a hash that does not end
		begin := time.Now()
		results := make(chan error, 2)
		for range 2 {
			go func() { results <- h.Unknown(t.Context(), "queued") }()
		}
		synctest.Wait()
		var busy *Busy
		if err := h.Unknown(t.Context(), "one too many"); !errors.As(err, &busy) || busy.RetryAfter < time.Second || busy.Error() == "" {
			t.Fatalf("got %v", err)
		}
		if time.Since(begin) != 0 {
			t.Error("the refusal waited")
		}
		<-h.free // it ends: both that wait are served
		for range 2 {
			if err := <-results; err != nil {
				t.Errorf("a queued caller was not served: %v", err)
			}
		}
		if h.waiting.Load() != 0 || len(h.free) != 0 || refused.Load() != 1 {
			t.Errorf("%d wait, %d slots are held, %d were refused", h.waiting.Load(), len(h.free), refused.Load())
		}
	})
}

func TestWhoGivesUpLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := cheapHasher(1, 1)
		h.free <- struct{}{}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- h.Unknown(ctx, "queued") }()
		synctest.Wait()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if h.waiting.Load() != 0 {
			t.Fatal("the place in the queue was not given back")
		}
		go func() { result <- h.Unknown(t.Context(), "next") }()
		synctest.Wait()
		<-h.free
		if err := <-result; err != nil {
			t.Errorf("the next caller was not served: %v", err)
		}
		if err := h.Unknown(ctx, "too late"); !errors.Is(err, context.Canceled) {
			t.Errorf("an ended caller is not served even where a slot is free: %v", err)
		}
	})
}

func TestTheWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := cheapHasher(1, 1)
		h.free <- struct{}{}
		begin := time.Now()
		var busy *Busy
		if err := h.Unknown(t.Context(), "queued"); !errors.As(err, &busy) || time.Since(begin) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}

func TestNoQueueMeansNoWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := cheapHasher(1, -1)
		if err := h.Unknown(t.Context(), "free"); err != nil {
			t.Error(err)
		}
		h.free <- struct{}{}
		var busy *Busy
		if err := h.Unknown(t.Context(), "taken"); !errors.As(err, &busy) {
			t.Errorf("got %v", err)
		}
	})
}

func TestASlotComesBackAfterAPanic(t *testing.T) {
	h := cheapHasher(1, 1)
	func() {
		defer func() { _ = recover() }()
		_ = h.inSlot(t.Context(), func() { panic("in a hash") })
	}()
	if len(h.free) != 0 {
		t.Error("the slot is lost")
	}
}

func TestBusyEstimatesFromWhatHashesCost(t *testing.T) {
	h := cheapHasher(2, 100)
	h.native.Store(int64(time.Second))
	h.waiting.Store(10)
	var busy *Busy
	if !errors.As(h.busy(), &busy) || busy.RetryAfter != 5*time.Second {
		t.Errorf("10 hashes of a second in 2 slots: %v", busy)
	}
}

// Attack: parallel tries for one name wait for each other in the slots, and tell by
// how long whether its hash is a dear one from elsewhere (E1): for everybody the slot
// is taken as long.
func TestE1SlotsAreTakenAsLongForNobody(t *testing.T) {
	h := NewHasher(HasherOptions{Params: HashParams{MemoryKiB: 64, Time: 1, Threads: 1}, Slots: 1})
	if err := h.Unknown(t.Context(), "a wrong password"); err != nil {
		t.Fatal(err)
	}
	if running, _, _ := h.Load(); running != 0 {
		t.Error("where nothing dear came in the slot is free at once")
	}
	if _, err := h.MeasureForeign(t.Context(), "pbkdf2_sha256$1900000$seasalt00000001$VNdX9QXABUN0yU2u964icF4sZX2GWdz+A55919AY2uM="); err != nil {
		t.Fatal(err)
	}
	if err := h.Unknown(t.Context(), "a wrong password"); err != nil {
		t.Fatal(err)
	}
	if running, _, _ := h.Load(); running != 1 {
		t.Error("the slot of nobody is free before that of somebody would be")
	}
	if err := h.Unknown(t.Context(), "a wrong password"); err != nil { // and then it is
		t.Fatal(err)
	}
}

// The same for a hash that is cheaper than ours, and a configuration that measures
// itself while slots are kept: what is measured is the hash, not the wait.
func TestE1SlotsAreTakenAsLongForCheapHashes(t *testing.T) {
	const cheap = "pbkdf2_sha256$1000$seasalt00000001$VNdX9QXABUN0yU2u964icF4sZX2GWdz+A55919AY2uM="
	h := NewHasher(HasherOptions{Params: HashParams{MemoryKiB: 65536, Time: 4, Threads: 1}, Slots: 1})
	h.Measure(t.Context())
	if _, err := h.MeasureForeign(t.Context(), cheap); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Verify(t.Context(), "a wrong password", cheap); err != nil {
		t.Fatal(err)
	}
	if running, _, _ := h.Load(); running != 1 {
		t.Error("the slot of a cheap hash is free before that of nobody would be")
	}
	if _, err := h.MeasureForeign(t.Context(), "pbkdf2_sha256$1900000$seasalt00000001$VNdX9QXABUN0yU2u964icF4sZX2GWdz+A55919AY2uM="); err != nil {
		t.Fatal(err)
	}
	small := h.With(HashParams{MemoryKiB: 64, Time: 1, Threads: 1})
	if err := small.Unknown(t.Context(), "a wrong password"); err != nil {
		t.Fatal(err)
	}
	if small.Measure(t.Context()); small.Floor(false) >= small.Floor(true)/2 {
		t.Errorf("native %s, with foreign %s: the wait for a slot was measured", small.Floor(false), small.Floor(true))
	}
}
