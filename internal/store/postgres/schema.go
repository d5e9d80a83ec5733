package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// steps are the versions of the schema: the first makes the tables, each further
// one changes those of the version before. What has been released never changes.
//
// sallyport_meta has one row. seq is the number of the last change. sallyport_turn
// is never written: nodes lock it. sallyport_changes holds, in commit order and
// without gaps, what watchers are told; a deleted record has no value there.
// Sealed values do not shrink, so nobody tries to compress them.
var steps = []string{`
create table sallyport_meta (
	one     boolean primary key default true check (one),
	version integer not null,
	seq     bigint  not null
);
create table sallyport_turn ();
create table sallyport_records (
	key     bytea primary key,
	value   bytea not null,
	expires bigint
);
alter table sallyport_records alter column value set storage external;
create index sallyport_records_expires on sallyport_records (expires) where expires is not null;
create table sallyport_changes (
	seq     bigint primary key,
	key     bytea not null,
	value   bytea,
	expires bigint,
	made    timestamptz not null default now()
);
alter table sallyport_changes alter column value set storage external;
insert into sallyport_meta (version, seq) values (0, 0);
`}

// Advisory locks that all nodes know; the second number is the schema's.
const (
	lockMigrate = 0x73706d67
	lockSweep   = 0x73707377
)

// migrate brings the tables to this program's version. One node at a time does.
func (d *db) migrate(ctx context.Context, conn *pgx.Conn) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	bounded, cancel := answering()
	defer cancel()
	err := pgx.BeginFunc(bounded, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(bounded, "select pg_catalog.pg_advisory_xact_lock($1, pg_catalog.hashtext(current_schema()::text))", lockMigrate); err != nil {
			return err
		}
		version, err := d.version(bounded, tx)
		if err != nil || version == len(steps) {
			return err
		}
		for _, step := range steps[version:] {
			if _, err := tx.Exec(bounded, step, pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		_, err = tx.Exec(bounded, "update sallyport_meta set version = $1", len(steps))
		return err
	})
	if err != nil {
		return d.explain("open store", err)
	}
	return nil
}

// Holds reports whether a database has our tables. It makes none, and changes none.
func Holds(ctx context.Context, url string) (bool, error) {
	d, err := newDB(Options{URL: url, Existing: true})
	if err != nil {
		return false, err
	}
	conn, err := d.connect(ctx)
	if err != nil {
		return false, d.explain("open store", err)
	}
	defer closeConn(conn)
	_, err = d.version(ctx, conn)
	if errors.Is(err, ErrEmpty) {
		return false, nil
	}
	return err == nil, d.explain("open store", err)
}

// querier is a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}

// version looks whose the schema is; 0: nobody's, it is empty.
func (d *db) version(ctx context.Context, tx querier) (version int, err error) {
	var schema *string
	var ours, others bool
	// Tables that extensions brought are nobody's.
	err = tx.QueryRow(ctx, `select current_schema(), to_regclass('sallyport_meta') is not null, exists (
		select from pg_class c where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
			and not exists (select from pg_depend p where p.classid = 'pg_class'::regclass and p.objid = c.oid and p.deptype = 'e'))`).Scan(&schema, &ours, &others)
	switch {
	case err != nil:
		return 0, err
	case schema == nil:
		return 0, fmt.Errorf("there is no schema to make tables in: look at search_path")
	case !ours && others:
		return 0, fmt.Errorf("%w: its schema %q has tables of something else; name an empty database, or a schema of its own with search_path", store.ErrForeign, *schema)
	case !ours && d.opt.Existing:
		return 0, ErrEmpty
	case !ours:
		return 0, nil
	}
	if err := tx.QueryRow(ctx, "select version from sallyport_meta").Scan(&version); err != nil {
		return 0, fmt.Errorf("%w: its table sallyport_meta is not as we made it (%w); restore a backup", store.ErrForeign, err)
	}
	if version > len(steps) {
		return 0, fmt.Errorf("its tables are of version %d, and this program knows version %d: a newer sallyport has been here; use that one, or restore a backup from before", version, len(steps))
	}
	if version < 1 {
		return 0, fmt.Errorf("%w: its table sallyport_meta says version %d; restore a backup", store.ErrForeign, version)
	}
	return version, nil
}
