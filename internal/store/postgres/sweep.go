package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// The broom: what has expired, and what is old in the log, is removed by one node
// at a time, a little at once. It takes no lock that a commit waits for.

const (
	sweepEvery = time.Minute
	sweepPage  = 1000
)

// The time is a bigint as the column is: with a numeric no index would be used. It is
// rounded down, so that nothing goes early. The condition stands twice: a record that
// somebody has just written anew stays.
const sweepRecords = `delete from sallyport_records where key in
	(select key from sallyport_records where expires <= pg_catalog.floor(extract(epoch from pg_catalog.now()))::bigint order by expires limit $1)
	and expires <= pg_catalog.floor(extract(epoch from pg_catalog.now()))::bigint`

func (d *db) sweep(ctx context.Context) {
	for pause(ctx, d.opt.testOnlySweep) == nil {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = d.sweepPage(ctx); err != nil && ctx.Err() == nil {
				d.log.Warn("expired records could not be removed", "error", d.explain("sweep", err))
			}
		}
	}
}

// sweepPage removes some of what nobody needs, unless another node is at it. more:
// there is more of it.
func (d *db) sweepPage(ctx context.Context) (more bool, err error) {
	l, err := d.views.get(ctx)
	if err != nil {
		return false, err
	}
	defer d.views.put(l)
	bounded, cancel := answering()
	defer cancel()
	err = pgx.BeginFunc(bounded, l.conn, func(tx pgx.Tx) error {
		mine := false
		err := tx.QueryRow(bounded, "select pg_catalog.pg_try_advisory_xact_lock($1, pg_catalog.hashtext(current_schema()::text))", lockSweep).Scan(&mine)
		if err != nil || !mine {
			return err
		}
		records, err := tx.Exec(bounded, sweepRecords, sweepPage)
		if err != nil {
			return err
		}
		changes, err := tx.Exec(bounded, `delete from sallyport_changes where seq in
			(select seq from (select seq, made from sallyport_changes order by seq limit $1) oldest where made < now() - $2::interval)`, sweepPage, d.opt.testOnlyKeep)
		more = records.RowsAffected() == sweepPage || changes.RowsAffected() == sweepPage
		return err
	})
	return more, err
}
