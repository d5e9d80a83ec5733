package postgres

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// How changes of other nodes are heard: each commit numbers its changes under the
// lock that orders commits, so the log has no gaps and its order is that of the
// commits. A node remembers the last number that its watchers know, and reads on
// from there: when it is notified, every half second anyway, and before its own
// commit, so that what it tells is in order too. A lost connection therefore misses
// nothing. Only when the log no longer holds what comes next are the watchers told
// to forget all.

const (
	channel     = "sallyport"
	pollEvery   = 500 * time.Millisecond
	keepChanges = time.Hour // in the log; a node that was away longer forgets what it knows
	maxBehind   = 10_000    // changes; whoever is further behind forgets, too
)

// change is one row of the log.
type change struct {
	seq int64
	store.Change
}

// hear reads what other nodes committed before a batch and watchers do not know.
func (d *db) hear(ctx context.Context, b *batch) (err error) {
	d.telling.Lock()
	told := d.told
	d.telling.Unlock()
	b.missed, b.foreign, err = d.changes(ctx, b.conn, told, b.seq)
	return err
}

// changes reads the log behind one number and up to another. missed: it is not
// whole. Without watchers nobody needs to know.
func (d *db) changes(ctx context.Context, conn *pgx.Conn, told, last int64) (missed bool, found []change, err error) {
	switch {
	case told == last || !d.watch.Any():
		return false, nil, nil
	case told > last, last-told > maxBehind: // an older state was restored; or too much has happened
		return true, nil, nil
	}
	rows, err := conn.Query(ctx, "select seq, key, value, expires from sallyport_changes where seq > $1 and seq <= $2 order by seq", told, last)
	if err != nil {
		return false, nil, err
	}
	found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c change, err error) {
		var expires *int64
		err = row.Scan(&c.seq, &c.Key, &c.Value, &expires)
		c.Expires, c.Deleted = timeOf(expires), c.Value == nil
		return c, err
	})
	if err == nil && int64(len(found)) != last-told {
		return true, nil, nil
	}
	return false, found, err
}

// tell runs the watchers for changes of other nodes. The caller holds telling. What
// was told meanwhile is left out. A watcher that panics has no caller here that
// would hear of it.
func (d *db) tell(missed bool, found []change) {
	defer func() {
		if value := recover(); value != nil {
			d.log.Error("a watcher panicked", "panic", fmt.Sprint(value), "stack", string(debug.Stack()))
		}
	}()
	if missed {
		d.log.Warn("changes of other nodes were missed: what is known in memory is forgotten", "database", d.place)
		d.watch.Run(d.watch.Missed())
		return
	}
	var fresh []store.Change
	for _, c := range found {
		if c.seq > d.told {
			fresh = append(fresh, c.Change)
			d.told = c.seq
		}
	}
	d.watch.Run(d.watch.CallsOf(fresh))
}

// follow hears changes until ctx ends, on a connection of its own.
func (d *db) follow(ctx context.Context) {
	deaf := false // and it was said
	for wait := time.Duration(0); ctx.Err() == nil; wait = min(2*wait+50*time.Millisecond, 2*time.Second) {
		if pause(ctx, wait) != nil {
			return
		}
		conn, err := d.connect(ctx)
		if err == nil {
			err = d.listen(ctx, conn, func() { wait, deaf = 0, false })
			closeConn(conn)
		}
		if ctx.Err() == nil && !deaf {
			deaf = true
			d.log.Warn("changes of other nodes are not heard for the moment", "error", d.explain("follow", err))
		}
	}
}

// listen reads the log at each notification of another node, and from time to time.
func (d *db) listen(ctx context.Context, conn *pgx.Conn, works func()) error {
	if err := run(conn, "listen "+channel); err != nil {
		return err
	}
	for {
		if err := d.catchUp(ctx, conn); err != nil {
			return err
		}
		works()
		if err := d.waitForOther(ctx, conn); err != nil {
			return err
		}
	}
}

// waitForOther returns when another node has committed, or when it is time to look.
func (d *db) waitForOther(ctx context.Context, conn *pgx.Conn) error {
	until, cancel := context.WithTimeout(ctx, d.opt.testOnlyPoll)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(until)
		switch {
		case until.Err() != nil && !conn.IsClosed():
			return ctx.Err()
		case err != nil:
			return err
		case n.Payload != d.node:
			return nil
		}
	}
}

// catchUp tells what other nodes committed.
func (d *db) catchUp(ctx context.Context, conn *pgx.Conn) error {
	d.telling.Lock()
	told := d.told
	d.telling.Unlock()
	bounded, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	last, err := lastChange(bounded, conn)
	if err != nil {
		return err
	}
	missed, found, err := d.changes(bounded, conn, told, last)
	if err != nil {
		return err
	}
	d.telling.Lock()
	defer d.telling.Unlock()
	if missed && d.told != told { // a commit of ours has found out, or what it told makes the log whole
		return nil
	}
	d.tell(missed, found)
	if missed || d.told < last {
		d.told = last
	}
	return nil
}
