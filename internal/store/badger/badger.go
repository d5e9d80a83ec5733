// Package badger is the embedded engine of the store: one directory, one process.
//
// All Updates go through one committer, which runs those that wait one after
// another over what the earlier ones wrote and commits them in one Badger
// transaction with one sync. That is what makes them serialisable without
// conflicts, and a hot key as cheap as a cold one. See committer.go.
//
// Badger writes through mmap, so a full disk is not an error but a signal that
// kills the process, again at restart. Free space is therefore checked before
// Badger is opened and before each commit, and a part of the reserve is held as a
// file, so that the memtable finds room when the store closes. See reserve.go.
package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/ristretto/v2/z"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/engine"
)

// Options say how to open an engine.
type Options struct {
	// Dir is Badger's own directory, made with mode 0700 when it is missing.
	// Nothing else may lie in it.
	Dir string

	// InMemory keeps everything in memory; Dir must be empty.
	InMemory bool

	// MinFree is how many bytes must stay free on the disk: with less, Open and
	// Update answer ErrNoSpace. Never less than DefaultMinFree. Another 24 MiB are
	// held as a file while the store is open.
	MinFree uint64

	// Clock is what Tx.Now of the bare engine goes by; nil: time.Now. Badger's
	// own removal of expired records always goes by the real clock.
	Clock func() time.Time

	// Logger gets Badger's own messages: its errors as warnings, the rest at debug.
	// Nil: silent.
	Logger *slog.Logger

	testOnlyCommit func(commit func() error) error
}

// DefaultMinFree covers what Badger may write by itself between two checks: the
// flush of a memtable (8 MiB), compactions of the tables that waiting memtables
// become (24), and those between lower levels (about 12 tables of 2 MiB). Level
// zero and the level that it is compacted into are counted as they are.
const DefaultMinFree = 64 << 20

// Sizes are small, because a gateway's records are and its memory should be.
const (
	memTable     = 8 << 20 // also bounds a transaction: 15 % of it
	threshold    = 1 << 20 // all values are smaller, so none goes to the value log, and that needs no garbage collection
	valueLogFile = 2 << 20 // stays empty
)

type db struct {
	db      *badger.DB
	clock   func() time.Time
	log     *slog.Logger
	reserve *reserve
	jobs    chan *job
	ran     chan struct{} // the caller whose turn it was is done
	quit    chan struct{}
	worker  sync.WaitGroup
	limit   engine.Cost
	watch   engine.Watchers
	gate    engine.Gate

	testOnlyCommit func(commit func() error) error
}

// emptyMemtables bounds how many empty memtable files one start mends: Badger has
// two at most while it runs.
const emptyMemtables = 8

// openDB opens Badger. A process that is killed while Badger deletes or makes a
// memtable file leaves it with no length. Nothing is in it that is not elsewhere
// too: Badger empties a memtable's file only after it was flushed. But Badger
// takes it for one that it has just made itself, gives it a length, and fails;
// the next try finds it empty and goes on.
func openDB(opt Options) (db *badger.DB, err error) {
	for range emptyMemtables {
		db, err = badger.Open(badgerOptions(opt))
		if err == nil || !strings.Contains(err.Error(), z.NewFile.Error()) {
			break
		}
		opt.Logger.Warn("mended a memtable file that a killed process left empty", "dir", opt.Dir)
	}
	return db, err
}

// Open opens the engine. Errors: store.ErrLocked, ErrForeign, ErrNoSpace; all
// name the directory and the way out. Values are stored as they are given: wrap
// the engine with [store.OpenSealed].
func Open(ctx context.Context, opt Options) (store.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	held, err := prepare(opt)
	if err != nil {
		return nil, err
	}
	bdb, err := openDB(opt)
	if err != nil {
		return nil, openError(opt.Dir, err)
	}
	if err := held.hold(); err != nil {
		return nil, errors.Join(err, bdb.Close())
	}
	e := &db{
		db: bdb, clock: opt.Clock, log: opt.Logger, reserve: held,
		jobs: make(chan *job, maxBatch), ran: make(chan struct{}, 1), quit: make(chan struct{}),
		limit:          engine.Cost{Count: bdb.MaxBatchCount() - 2, Size: bdb.MaxBatchSize() - 1024},
		testOnlyCommit: opt.testOnlyCommit,
	}
	e.worker.Go(e.commitLoop)
	return e, nil
}

func badgerOptions(opt Options) badger.Options {
	o := badger.DefaultOptions(opt.Dir).
		WithInMemory(opt.InMemory).
		WithSyncWrites(true).
		WithDetectConflicts(false). // the committer is the only writer
		WithMemTableSize(memTable).
		WithNumMemtables(2).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(4).
		WithNumCompactors(2).
		WithValueLogFileSize(valueLogFile).
		WithValueThreshold(threshold).
		WithCompression(options.None). // sealed values do not shrink
		WithBlockCacheSize(0).         // without compression blocks are read in place
		WithIndexCacheSize(8 << 20).
		WithMetricsEnabled(false).
		WithLogger(logger{opt.Logger})
	o.TableSizeMultiplier = 1 // small tables on all levels: a compaction needs little room
	return o
}

// View implements [store.Store].
func (e *db) View(ctx context.Context, fn func(store.Tx) error) error {
	if !e.gate.Enter() {
		return store.ErrClosed
	}
	defer e.gate.Leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := e.view(ctx, fn)
	if err == nil {
		tx.RunAfter()
	}
	return err
}

func (e *db) view(ctx context.Context, fn func(store.Tx) error) (*tx, error) {
	snapshot := e.db.NewTransaction(false)
	defer snapshot.Discard()
	tx := &tx{ctx: ctx, snapshot: snapshot, now: e.clock()}
	defer tx.end()
	return tx, fn(tx)
}

// Watch implements [store.Store].
func (e *db) Watch(prefix []byte, fn func(store.Change)) (stop func()) {
	return e.watch.Add(prefix, fn)
}

// Close implements [store.Store].
func (e *db) Close() error {
	if !e.gate.Close() {
		return nil
	}
	close(e.quit)
	e.worker.Wait()
	releaseErr := e.reserve.release()
	if err := errors.Join(e.db.Close(), releaseErr); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// compaction bounds what the next compaction of level zero may write.
func (e *db) compaction() (size uint64) {
	for _, level := range e.db.Levels() {
		if level.Level == 0 || level.IsBaseLevel {
			size += uint64(level.Size)
		}
	}
	return size
}

// logger passes Badger's messages on.
type logger struct{ log *slog.Logger }

func (l logger) Errorf(f string, a ...any)   { l.put(slog.LevelWarn, f, a) }
func (l logger) Warningf(f string, a ...any) { l.put(slog.LevelDebug, f, a) }
func (l logger) Infof(f string, a ...any)    { l.put(slog.LevelDebug, f, a) }
func (l logger) Debugf(f string, a ...any)   { l.put(slog.LevelDebug-4, f, a) }

func (l logger) put(level slog.Level, format string, args []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "badger: "+fmt.Sprintf(format, args...))
	}
}
