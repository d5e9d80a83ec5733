package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/engine"
)

// How an Update travels: the caller queues a job and waits for its turn. The
// committer begins a transaction, gives turns one at a time, each over what earlier
// jobs of the batch wrote, and writes and commits when nobody waits or the batch is
// full. The caller runs fn in its own goroutine, so that a panic ends the caller and
// not the committer. When the transaction is rolled back because of another one, or
// its connection is lost before the COMMIT was sent, all jobs of the batch get a
// turn again. A connection that is lost after that leaves them with an error: they
// may be committed, and must not be run again.

const (
	maxBatch   = 512 // Updates that share a commit at most
	maxRecords = 20_000
	maxBytes   = 4 << 20 // of one Update; a batch that has as much takes no more
	maxTries   = 12      // of a batch
	maxGuilty  = 3       // Updates that a batch goes on without
)

var limit = engine.Cost{Count: maxRecords, Size: maxBytes}

// errUnknown is the end of those whose COMMIT was sent and never answered.
var errUnknown = errors.New("the connection was lost during the commit, and whether it happened is unknown: look before you try again")

// errRolledBack is a bug of ours: a failed statement that nobody noted.
var errRolledBack = errors.New("the server rolled the transaction back")

// job is one Update.
type job struct {
	state   atomic.Int32
	turn    chan *tx
	outcome chan outcome // room for one
	tx      *tx
	kept    bool  // fn came to its end: it waits for the outcome
	err     error // fn's own
}

const (
	queued = iota
	started
	withdrawn
)

type outcome struct {
	err   error
	calls []engine.Call // to be run before handing back the turn
}

// Update implements [store.Store].
func (d *db) Update(ctx context.Context, fn func(store.Tx) error) error {
	if !d.gate.Enter() {
		return store.ErrClosed
	}
	defer d.gate.Leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{turn: make(chan *tx, 1), outcome: make(chan outcome, 1)}
	select {
	case d.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	}
	out, err := d.await(ctx, j, fn)
	if err != nil {
		return err
	}
	if out.err != nil {
		return out.err
	}
	if len(out.calls) > 0 {
		d.notify(out.calls)
	}
	if j.err != nil {
		return j.err
	}
	j.tx.RunAfter()
	return nil
}

// await runs fn at each turn until there is an outcome. The error is that of a
// context which ended before the first turn.
func (d *db) await(ctx context.Context, j *job, fn func(store.Tx) error) (outcome, error) {
	gone := ctx.Done()
	for {
		select {
		case tx := <-j.turn:
			gone = nil // from now on the outcome counts
			d.take(ctx, j, tx, fn)
		case out := <-j.outcome:
			return out, nil
		case <-gone:
			if j.state.CompareAndSwap(queued, withdrawn) {
				return outcome{}, ctx.Err()
			}
			gone = nil
		}
	}
}

// take runs fn while it is this job's turn.
func (d *db) take(ctx context.Context, j *job, tx *tx, fn func(store.Tx) error) {
	end := d.views.stand(ctx)
	defer func() {
		tx.over = true
		end()
		d.ran <- struct{}{}
	}()
	tx.ctx, j.tx, j.kept = ctx, tx, false
	if j.err = ctx.Err(); j.err == nil {
		j.err = fn(tx)
	}
	j.kept = true
}

func (d *db) notify(calls []engine.Call) {
	defer func() { d.ran <- struct{}{} }()
	d.watch.Run(calls)
}

// batch is one try to commit a set of Updates together.
type batch struct {
	conn    *pgx.Conn
	seq     int64 // the last change before this batch
	missed  bool  // changes of other nodes cannot be told any more
	foreign []change
	read    cache
	writes  engine.Overlay
	changes int
	cost    engine.Cost
	failed  error // what PostgreSQL failed at; the transaction is no good any more
	fault   *job  // whose query that was
	slow    *job  // the first whose turn was longer than the server waits
}

func (d *db) commitLoop() {
	for {
		select {
		case <-d.quit:
			return
		case j := <-d.jobs:
			d.serve(j)
		}
	}
}

// serve runs a job and those that wait behind it until they have an outcome.
func (d *db) serve(first *job) {
	jobs := []*job{first}
	var err error
	guilty := 0
	for try := 1; len(jobs) > 0; try++ {
		var again bool
		var b *batch
		if b, jobs, again, err = d.try(jobs); !again {
			// One whose fn brought the transaction down would do so again; the others
			// go on without it. When several do, it is likely the server.
			if j := b.guilty(err); j != nil && guilty < maxGuilty {
				guilty++
				if i := slices.Index(jobs, j); i >= 0 { // else it panicked
					jobs = slices.Delete(jobs, i, i+1)
					j.outcome <- outcome{err: d.explain("change", err)}
				}
				err = nil // of that one alone
				continue
			}
			break
		}
		if try >= maxTries {
			err = fmt.Errorf("gave up after %d tries: %w", try, err)
			break
		}
		_ = pause(context.Background(), jitter(time.Millisecond<<min(try, 8)))
	}
	if (unreachable(err) || code(err) == codeLockTimeout) && !errors.Is(err, errUnknown) {
		jobs = d.queue(jobs) // or each would wait for the server, or the lock, in its turn
	}
	for _, j := range jobs { // nothing of them was committed, or nobody knows
		if j.state.CompareAndSwap(queued, started) || j.state.Load() == started {
			j.outcome <- outcome{err: d.explain("change", err)}
		}
	}
}

// guilty is the job that a batch failed for, or nil: the one whose turn was so long
// that the server ended the transaction, which the next query found out, or else the
// one whose query PostgreSQL failed at.
func (b *batch) guilty(err error) *job {
	switch {
	case b == nil:
		return nil
	case unreachable(err) && b.slow != nil:
		return b.slow
	}
	return b.fault
}

// queue adds the jobs that wait to others.
func (d *db) queue(jobs []*job) []*job {
	for {
		select {
		case j := <-d.jobs:
			jobs = append(jobs, j)
		default:
			return jobs
		}
	}
}

// try runs jobs, and others that come, in one transaction. It returns those that
// have no outcome yet, and whether all of them may be run again. No batch: none ran.
func (d *db) try(jobs []*job) (b *batch, left []*job, again bool, err error) {
	if b, err = d.begin(); err != nil {
		return nil, jobs, false, err
	}
	var ran []*job
	for i, j := range jobs {
		if d.give(b, j) {
			ran = append(ran, j)
		}
		if b.failed != nil {
			ran = append(ran, jobs[i+1:]...)
			break
		}
	}
	ran = d.fill(b, ran)
	err = b.failed
	if err == nil {
		if err = d.finish(b, ran); err == nil {
			return b, nil, false, nil
		}
	}
	if code(err) == codeReadOnly { // after a failover the URL may lead to another server
		closeConn(b.conn)
	}
	if d.writer = ended(b.conn); errors.Is(err, errUnknown) {
		d.log.Error("the outcome of a commit is unknown", "database", d.place, "updates", len(ran))
		return nil, ran, false, err
	}
	// Who was so slow that the server gave up would be so again. The driver may know no
	// more than that the connection is lost.
	return b, ran, conflict(err) || unreachable(err) && code(err) != codeIdle && b.slow == nil, err
}

// begin takes the lock, and then the snapshot.
func (d *db) begin() (*batch, error) {
	b := &batch{read: cache{}, writes: engine.Overlay{}}
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	err := d.patiently(ctx, func() (err error) {
		if d.writer == nil {
			// A node that stands still must not keep all others waiting.
			if d.writer, err = d.connectFor(ctx, d.opt.testOnlyIdle); err != nil {
				return err
			}
		}
		b.conn = d.writer
		if b.seq, err = lock(ctx, b.conn); err == nil {
			err = d.hear(ctx, b)
		}
		if err != nil {
			d.writer = ended(d.writer)
		}
		return err
	})
	return b, err
}

// lock begins a transaction that has no other beside it, and answers the number of
// the last change. LOCK takes no snapshot: the query behind it does.
func lock(ctx context.Context, conn *pgx.Conn) (seq int64, err error) {
	results, err := conn.PgConn().Exec(ctx, "begin isolation level serializable read write; lock table sallyport_turn in exclusive mode; select seq from sallyport_meta").ReadAll()
	if err != nil {
		return 0, err
	}
	if last := results[len(results)-1]; len(last.Rows) == 1 {
		return strconv.ParseInt(string(last.Rows[0][0]), 10, 64)
	}
	return 0, errors.New("the row of sallyport_meta is gone: restore a backup")
}

func lastChange(ctx context.Context, conn *pgx.Conn) (seq int64, err error) {
	err = conn.QueryRow(ctx, "select seq from sallyport_meta").Scan(&seq)
	return seq, err
}

// fill gives turns while somebody waits. Callers that the last commit released get
// a moment to come back: a fuller batch saves a commit.
func (d *db) fill(b *batch, ran []*job) []*job {
	for yields := 0; len(ran) < maxBatch && b.failed == nil && !b.cost.Over(limit); {
		select {
		case j := <-d.jobs:
			if d.give(b, j) {
				ran = append(ran, j)
			}
		default:
			if yields++; yields > 2 {
				return ran
			}
			runtime.Gosched()
		}
	}
	return ran
}

// give lets a job run over the batch and adds what it wrote. It answers whether the
// job waits for the outcome.
func (d *db) give(b *batch, j *job) bool {
	if !j.state.CompareAndSwap(queued, started) && j.state.Load() == withdrawn {
		return false
	}
	tx := &tx{
		conn: b.conn, now: d.clock(), read: b.read, explain: d.explain,
		Writes: engine.Writes{Before: b.writes, Own: engine.Overlay{}, Limit: limit},
		failed: func(err error) error {
			b.failed, b.fault = err, j
			return d.explain("read", err)
		},
	}
	begin := time.Now()
	j.turn <- tx
	<-d.ran
	if b.slow == nil && time.Since(begin) >= d.opt.testOnlyIdle-d.opt.testOnlyIdle/10 { // the server counts from the last answer, a little before
		b.slow = j
	}
	if !j.kept {
		return false // panicked: nobody waits
	}
	if j.err == nil {
		maps.Copy(b.writes, tx.Own)
		b.changes += len(tx.Own)
		b.cost = b.cost.Plus(tx.Cost)
	}
	return true
}

// finish commits the batch and tells all its jobs. On an error no job was told.
//
// Also a batch that wrote nothing is committed: what was refused, was refused
// because of what it read.
func (d *db) finish(b *batch, jobs []*job) error {
	if len(b.writes) > 0 {
		if err := d.write(b, jobs); err != nil {
			return err
		}
	}
	d.telling.Lock()
	defer d.telling.Unlock()
	commit := func() error { return commit(b.conn) }
	if d.opt.testOnlyCommit != nil {
		sent := commit
		commit = func() error { return d.opt.testOnlyCommit(sent) }
	}
	if err := commit(); err != nil {
		if len(b.writes) > 0 && !rolledBack(err) && !errors.Is(err, errRolledBack) {
			return fmt.Errorf("%w (%w)", errUnknown, cause(err))
		}
		return err
	}
	d.tell(b.missed, b.foreign)
	for _, j := range jobs {
		var out outcome
		if j.err == nil {
			out.calls = d.watch.Calls(j.tx.Own)
		}
		j.outcome <- out
		if len(out.calls) > 0 {
			<-d.ran
		}
	}
	d.told = max(d.told, b.seq+int64(b.changes))
	if b.missed {
		d.told = b.seq + int64(b.changes)
	}
	return nil
}

// commit knows that PostgreSQL answers the COMMIT of a failed transaction with a
// ROLLBACK, and no error.
func commit(conn *pgx.Conn) error {
	ctx, cancel := answering()
	defer cancel()
	results, err := conn.PgConn().Exec(ctx, "commit").ReadAll()
	if err == nil && results[0].CommandTag.String() != "COMMIT" {
		err = errRolledBack
	}
	return err
}

// write sends what the batch wrote: the records as they are at its end, and each
// change of each job, numbered.
func (d *db) write(b *batch, jobs []*job) error {
	var put, log columns
	var deleted [][]byte
	for _, key := range slices.Sorted(maps.Keys(b.writes)) {
		if e := b.writes[key]; e.Deleted {
			deleted = append(deleted, []byte(key))
		} else {
			put.add(key, e)
		}
	}
	for _, j := range jobs {
		if j.err == nil {
			for _, key := range slices.Sorted(maps.Keys(j.tx.Own)) {
				log.add(key, j.tx.Own[key])
			}
		}
	}
	q := &pgx.Batch{}
	if len(put.keys) > 0 {
		q.Queue(`insert into sallyport_records (key, value, expires) select * from unnest($1::bytea[], $2::bytea[], $3::bigint[])
			on conflict (key) do update set value = excluded.value, expires = excluded.expires`, put.keys, put.values, put.expires)
	}
	if len(deleted) > 0 {
		q.Queue("delete from sallyport_records where key = any($1::bytea[])", deleted)
	}
	q.Queue(`insert into sallyport_changes (seq, key, value, expires)
		select $1::bigint + n, k, v, e from unnest($2::bytea[], $3::bytea[], $4::bigint[]) with ordinality as c (k, v, e, n)`, b.seq, log.keys, log.values, log.expires)
	q.Queue("update sallyport_meta set seq = $1", b.seq+int64(b.changes))
	q.Queue("select pg_notify($1, $2)", channel, d.node)
	ctx, cancel := answering()
	defer cancel()
	return b.conn.SendBatch(ctx, q).Close()
}

// columns are records as PostgreSQL takes many at once.
type columns struct {
	keys, values [][]byte
	expires      []*int64
}

func (c *columns) add(key string, e engine.Entry) {
	c.keys = append(c.keys, []byte(key))
	c.values = append(c.values, e.Value) // nil: deleted
	c.expires = append(c.expires, secondsOf(e.Expires))
}

// secondsOf is the first whole second at which a record is gone for sure; nil: never.
func secondsOf(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return &s
}

func timeOf(seconds *int64) time.Time {
	if seconds == nil {
		return time.Time{}
	}
	return time.Unix(*seconds, 0)
}

// jitter is a random part of a wait, so that nodes which met once do not meet again.
func jitter(most time.Duration) time.Duration {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return time.Duration(binary.BigEndian.Uint64(b[:]) % uint64(most))
}
