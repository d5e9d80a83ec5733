package postgres

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// left counts the rows of a table.
func left(t *testing.T, s *db, table string) (n int) {
	t.Helper()
	l, err := s.views.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.views.put(l)
	if err := l.conn.QueryRow(t.Context(), "select count(*) from "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// expired writes a record that is gone, one that will be, and one that stays.
func expired(t *testing.T, s *db) {
	t.Helper()
	err := s.Update(t.Context(), func(tx store.Tx) error {
		return errors.Join(
			tx.Put(record("gone"), []byte("x"), time.Now().Add(-2*time.Second)),
			tx.Put(record("later"), []byte("x"), time.Now().Add(time.Hour)),
			tx.Put(record("never"), []byte("x"), time.Time{}))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What has expired is removed, and the log with it, however many nodes are at it;
// what has not stays.
func TestSweep(t *testing.T) {
	url := pgtest.URL(t)
	soon := func(o *Options) { o.testOnlySweep, o.testOnlyKeep = time.Millisecond, time.Nanosecond }
	s := node(t, url)
	expired(t, s)
	for range 3 {
		node(t, url, soon)
	}
	eventually(t, "the expired record and the log are removed", func() bool {
		return left(t, s, "sallyport_records") == 2 && left(t, s, "sallyport_changes") == 0
	})
}

// While one node sweeps, another one leaves it to that one.
func TestOneNodeSweepsAtATime(t *testing.T) {
	url := pgtest.URL(t)
	s := node(t, url, func(o *Options) { o.testOnlyKeep = time.Nanosecond })
	expired(t, s)
	other, err := s.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(other)
	err = pgx.BeginFunc(t.Context(), other, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "select pg_catalog.pg_advisory_xact_lock($1, pg_catalog.hashtext(current_schema()::text))", lockSweep); err != nil {
			return err
		}
		more, err := s.sweepPage(t.Context())
		if records, changes := left(t, s, "sallyport_records"), left(t, s, "sallyport_changes"); more || records != 3 || changes != 3 {
			t.Errorf("beside another one: more %v, %d records and %d changes left", more, records, changes)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.sweepPage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if records, changes := left(t, s, "sallyport_records"), left(t, s, "sallyport_changes"); records != 2 || changes != 0 {
		t.Errorf("alone: %d records and %d changes left", records, changes)
	}
}

// The sweep finds what has expired by the index: it must not read a large table once
// a minute to find nothing.
func TestSweepUsesTheIndex(t *testing.T) {
	url := pgtest.URL(t)
	s := node(t, url)
	pgtest.Run(t, url, `insert into sallyport_records select int4send(n), '\x00', extract(epoch from now())::bigint + 3600 + n from generate_series(1, 20000) n; analyze sallyport_records`)
	l, err := s.views.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.views.put(l)
	rows, err := l.conn.Query(t.Context(), "explain "+sweepRecords, pgx.QueryExecModeSimpleProtocol, sweepPage)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Join(lines, "\n")
	if !strings.Contains(plan, "Index Cond: (expires <= ") || strings.Contains(plan, "Seq Scan") {
		t.Errorf("the plan is\n%s", plan)
	}
}
