// Package postgres is the engine of the store that many nodes may share: one
// PostgreSQL database.
//
// Updates of all nodes run one after another. Each process gives its waiting
// Updates their turns over what the earlier ones wrote and commits them together,
// as store/badger does, in one SERIALIZABLE transaction; and a transaction that
// writes begins by taking a lock that only one node can hold, before it takes its
// snapshot. So the transactions of two nodes never overlap, a hot key is as cheap
// as a cold one, and the log of changes that nodes follow is in commit order by
// construction. That the isolation level is SERIALIZABLE all the same is the belt
// to these braces: whatever writes without the lock (the sweeper; somebody with
// psql) ends in a retry, not in a wrong answer. See commit.go.
//
// Views are read-only transactions over a snapshot, on connections of their own.
// They take no lock and wait for nobody.
package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/engine"
)

// Options say how to open an engine.
type Options struct {
	// URL is postgres://USER:PASSWORD@HOST/DATABASE, with the parameters of libpq;
	// search_path may name a schema. No error shows its password.
	URL string

	// Existing refuses a database without our tables, with ErrEmpty.
	Existing bool

	// Clock is what Tx.Now of the bare engine goes by; nil: time.Now. The removal
	// of expired records goes by the clock of the database server.
	Clock func() time.Time

	// Logger hears of lost connections. Nil: silent.
	Logger *slog.Logger

	testOnlyPatience time.Duration // 0: patience
	testOnlyLock     time.Duration // 0: lockLimit
	testOnlyIdle     time.Duration // 0: writerIdle
	testOnlySweep    time.Duration // 0: sweepEvery
	testOnlyKeep     time.Duration // 0: keepChanges
	testOnlyPoll     time.Duration // 0: pollEvery
	testOnlyNode     string        // "": random
	testOnlyCommit   func(commit func() error) error
}

// ErrEmpty is the answer to Options.Existing where there is nothing yet.
var ErrEmpty = errors.New("database holds no store yet")

// Limits of time. The server's end a transaction whose process has stopped, so
// that others get the lock; the client's end the wait for a server that has.
const (
	patience     = 3 * time.Second  // for a server that restarts, before an Update or a View fails
	serverLimit  = 15 * time.Second // of one statement
	lockLimit    = 10 * time.Second // for the lock that another node holds
	writerIdle   = 5 * time.Second  // of a writer that does nothing: shorter than others wait for it
	viewIdle     = time.Minute      // of a View that does nothing
	answerLimit  = 20 * time.Second // for the server's answer
	connectLimit = 5 * time.Second  // unless the URL has connect_timeout
)

type db struct {
	config *pgx.ConnConfig
	place  string
	clock  func() time.Time
	log    *slog.Logger
	opt    Options
	node   string // names this process in notifications

	views  pool
	writer *pgx.Conn // of the committer alone
	jobs   chan *job
	ran    chan struct{} // the caller whose turn it was is done
	quit   chan struct{}
	worker sync.WaitGroup
	stop   context.CancelFunc // of what runs by itself
	watch  engine.Watchers
	gate   engine.Gate

	// Held from before a COMMIT is sent until its changes are told: whoever sees
	// changes in the log and then takes it knows that ours are told already.
	telling sync.Mutex
	told    int64 // the last change that watchers know; guarded by telling
}

// Open connects and makes the tables, or brings those of an older version up to
// date; many nodes may do so at once. Errors name the server and the way out, and
// never a password: store.ErrForeign where the database holds something else.
// Values are stored as they are given: wrap the engine with [store.OpenSealed].
func Open(ctx context.Context, opt Options) (store.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := newDB(opt)
	if err != nil {
		return nil, err
	}
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, errors.Join(ctx.Err(), d.explain("open store", err))
	}
	if err := d.migrate(ctx, conn); err != nil {
		closeConn(conn)
		return nil, err
	}
	if d.told, err = lastChange(ctx, conn); err != nil {
		closeConn(conn)
		return nil, d.explain("read the tables", err)
	}
	d.views.idle = append(d.views.idle, conn)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	d.worker.Go(d.commitLoop)
	d.worker.Go(func() { d.follow(running) })
	d.worker.Go(func() { d.sweep(running) })
	return d, nil
}

func newDB(opt Options) (*db, error) {
	place, config, err := parse(opt.URL)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	d := &db{
		config: config, place: place, clock: opt.Clock, log: opt.Logger, opt: opt.defaults(), node: rand.Text(),
		jobs: make(chan *job, maxBatch), ran: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	if opt.testOnlyNode != "" {
		d.node = opt.testOnlyNode
	}
	if d.clock == nil {
		d.clock = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.views.init(d.connect, d.opt.testOnlyPatience)
	return d, nil
}

func (o Options) defaults() Options {
	for _, v := range []struct {
		of       *time.Duration
		standard time.Duration
	}{{&o.testOnlyPatience, patience}, {&o.testOnlyLock, lockLimit}, {&o.testOnlyIdle, writerIdle}, {&o.testOnlySweep, sweepEvery}, {&o.testOnlyKeep, keepChanges}, {&o.testOnlyPoll, pollEvery}} {
		if *v.of == 0 {
			*v.of = v.standard
		}
	}
	return o
}

// View implements [store.Store].
func (d *db) View(ctx context.Context, fn func(store.Tx) error) error {
	if !d.gate.Enter() {
		return store.ErrClosed
	}
	defer d.gate.Leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := d.view(ctx, fn)
	if err == nil {
		tx.RunAfter()
	}
	return err
}

func (d *db) view(ctx context.Context, fn func(store.Tx) error) (*tx, error) {
	l, err := d.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	end := d.views.stand(ctx)
	t := &tx{ctx: ctx, conn: l.conn, now: d.clock(), explain: d.explain}
	defer func() {
		t.over = true
		end()
		d.views.put(l)
	}()
	return t, fn(t)
}

// snapshot begins a View. A connection that was lost while it lay idle is no reason
// to fail, nor is a server that restarts.
func (d *db) snapshot(ctx context.Context) (l lease, err error) {
	err = d.patiently(ctx, func() error {
		if l, err = d.views.get(ctx); err != nil {
			return err
		}
		// The first query takes the snapshot: a View sees what was committed before it began.
		if err = run(l.conn, "begin isolation level repeatable read read only; select"); err != nil {
			d.views.lost(l)
		}
		return err
	})
	if err != nil {
		return lease{}, errors.Join(ctx.Err(), d.explain("begin to read", err))
	}
	return l, nil
}

// patiently tries again while the server cannot be reached, for a while.
func (d *db) patiently(ctx context.Context, try func() error) error {
	deadline := time.Now().Add(d.opt.testOnlyPatience)
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
		err := try()
		if err == nil || !unreachable(err) || !time.Now().Before(deadline) {
			return err
		}
		if pause(ctx, wait) != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
}

// pause waits, or answers the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Watch implements [store.Store].
func (d *db) Watch(prefix []byte, fn func(store.Change)) (stop func()) {
	return d.watch.Add(prefix, fn)
}

// Close implements [store.Store].
func (d *db) Close() error {
	if !d.gate.Close() {
		return nil
	}
	close(d.quit)
	d.stop()
	d.worker.Wait()
	closeConn(d.writer)
	d.views.close()
	return nil
}

var _ store.Store = (*db)(nil)
