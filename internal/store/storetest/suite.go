package storetest

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// Engine is what the suite is run over.
type Engine struct {
	// Fresh makes a new empty place and returns how to open it. The suite closes
	// what it opened before it opens the place again.
	Fresh func(t *testing.T) (open func(clock func() time.Time) store.Store)

	// Durable says that records outlive Close.
	Durable bool
}

// start is when the suite's clocks begin: far from the real time, so that an
// engine that goes by another clock is caught.
var start = time.Date(2031, 3, 1, 12, 0, 0, 0, time.UTC)

// Run is the contract of [store.Store]: what it says in words, said in tests.
func Run(t *testing.T, engine Engine) {
	for _, c := range []struct {
		name string
		test func(*bench)
	}{
		{"MissingIsNotFound", missingIsNotFound},
		{"WhatWasPutIsRead", whatWasPutIsRead},
		{"ValuesBelongToTheCaller", valuesBelongToTheCaller},
		{"ScanIsOrdered", scanIsOrdered},
		{"ScanByPages", scanByPages},
		{"ScanSeesOwnWrites", scanSeesOwnWrites},
		{"ScansMayNest", scansMayNest},
		{"ScanLeftEarly", scanLeftEarly},
		{"LimitsAreKept", limitsAreKept},
		{"LargestValues", largestValues},
		{"ViewIsReadOnly", viewIsReadOnly},
		{"ViewIsASnapshot", viewIsASnapshot},
		{"AbortLeavesNothing", abortLeavesNothing},
		{"PanicReachesItsCaller", panicReachesItsCaller},
		{"GoexitEndsItsCallerAlone", goexitEndsItsCallerAlone},
		{"ContextEndedBefore", contextEndedBefore},
		{"ContextEndsInTheQueue", contextEndsInTheQueue},
		{"OverIsOver", overIsOver},
		{"ManyWritersOneCounter", manyWritersOneCounter},
		{"AbortsAmongCommits", abortsAmongCommits},
		{"WriteSkewOnAGuard", writeSkewOnAGuard},
		{"OneBurnsTheRestSee", oneBurnsTheRestSee},
		{"MoreThanABatchHolds", moreThanABatchHolds},
		{"AfterOnceAndOnlyAfter", afterOnceAndOnlyAfter},
		{"AfterMayOpenTransactions", afterMayOpenTransactions},
		{"WatchBeforeUpdateReturns", watchBeforeUpdateReturns},
		{"WatchInCommitOrder", watchInCommitOrder},
		{"WatchThatPanics", watchThatPanics},
		{"NowIsOneInstant", nowIsOneInstant},
		{"ExpiryByOurClock", expiryByOurClock},
		{"ExpiryInScanAndWatch", expiryInScanAndWatch},
		{"CloseIsFinal", closeIsFinal},
		{"CloseWaits", closeWaits},
		{"Reopen", reopen},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := NewClock(start)
			b := &bench{T: t, clock: clock, durable: engine.Durable, open: engine.Fresh(t)}
			b.Store = b.open(clock.Now)
			t.Cleanup(func() {
				if err := b.Store.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.test(b)
		})
	}
}

// bench is one test's store and the short words it is asked in.
type bench struct {
	*testing.T
	store.Store
	clock   *Clock
	durable bool
	open    func(clock func() time.Time) store.Store
}

func key(parts ...any) store.Key { return store.K(store.PrefixCompat, parts...) }

func under(parts ...any) []byte { return store.KPrefix(store.PrefixCompat, parts...) }

func (b *bench) update(fn func(store.Tx) error) {
	b.Helper()
	if err := b.Update(b.Context(), fn); err != nil {
		b.Fatalf("Update: %v", err)
	}
}

func (b *bench) view(fn func(store.Tx) error) {
	b.Helper()
	if err := b.View(b.Context(), fn); err != nil {
		b.Fatalf("View: %v", err)
	}
}

func (b *bench) put(key []byte, value string) { b.putUntil(key, value, time.Time{}) }

func (b *bench) putUntil(key []byte, value string, expires time.Time) {
	b.Helper()
	b.update(func(tx store.Tx) error { return tx.Put(key, []byte(value), expires) })
}

func (b *bench) want(key []byte, want string) {
	b.Helper()
	b.view(func(tx store.Tx) error {
		value, err := tx.Get(key)
		if err != nil || string(value) != want {
			b.Errorf("Get(%q) = %q, %v; want %q", key, value, err, want)
		}
		return nil
	})
}

func (b *bench) wantNone(key []byte) {
	b.Helper()
	b.view(func(tx store.Tx) error {
		if value, err := tx.Get(key); !errors.Is(err, store.ErrNotFound) {
			b.Errorf("Get(%q) = %q, %v; want ErrNotFound", key, value, err)
		}
		return nil
	})
}

// values are those of a Scan, in its order.
func (b *bench) values(tx store.Tx, prefix, from []byte) []string {
	b.Helper()
	var values []string
	var last []byte
	for item, err := range tx.Scan(prefix, from) {
		if err != nil {
			b.Fatalf("Scan: %v", err)
		}
		if last != nil && bytes.Compare(item.Key, last) <= 0 {
			b.Errorf("Scan: %q comes after %q", item.Key, last)
		}
		if !bytes.HasPrefix(item.Key, prefix) {
			b.Errorf("Scan of %q yields %q", prefix, item.Key)
		}
		last = item.Key
		values = append(values, string(item.Value))
	}
	return values
}

func (b *bench) wantScan(tx store.Tx, prefix, from []byte, want ...string) {
	b.Helper()
	if got := b.values(tx, prefix, from); !slices.Equal(got, want) {
		b.Errorf("Scan = %q, want %q", got, want)
	}
}

// recovered is what fn panicked with.
func recovered(fn func()) (value any) {
	defer func() { value = recover() }()
	fn()
	return nil
}
