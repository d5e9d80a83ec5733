package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/badger"
	"github.com/sallyport-auth/sallyport/internal/store/postgres"
)

// storage is where a state is: in a directory of ours, or in a database.
type storage struct {
	dir      string // absolute; empty: in a database
	named    bool   // somebody named it
	database string // URL, with its password
	place    string // of the two, for people: it shows no password
}

// storage says where the state is: in the directory that was named, else where the
// configuration says, else in DefaultStateDir. A named directory beside a
// configured database is an error: one of them would silently hold nothing.
func (c *Config) storage(named string) (storage, error) {
	url, isDatabase := databaseURL(c.Storage)
	if isDatabase {
		if named != "" {
			return storage{}, c.At("/storage", "storage: this is a database, and --state (or SALLYPORT_STATE) names a directory: leave one of the two out")
		}
		place, err := postgres.Place(url)
		if err != nil {
			return storage{}, c.At("/storage", "storage: %v", err)
		}
		return storage{named: true, database: url, place: "PostgreSQL at " + place}, nil
	}
	s := storage{dir: named, named: named != ""}
	if s.dir == "" && c.Storage != "" {
		engine, path, ok := strings.Cut(c.Storage, ":")
		if !ok || engine != "badger" || path == "" {
			return storage{}, c.At("/storage", "storage: expected badger:DIRECTORY, or the URL of a PostgreSQL database")
		}
		s.dir, s.named = path, true
	}
	if s.dir == "" {
		s.dir = DefaultStateDir()
	}
	var err error
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return storage{}, fmt.Errorf("find the state directory: %w", err)
	}
	s.place = s.dir
	return s, nil
}

// databaseURL reads postgres:URL, and a URL alone, which is what one variable of
// the environment holds.
func databaseURL(text string) (url string, ok bool) {
	if postgres.Is(text) {
		return text, true
	}
	return strings.CutPrefix(text, "postgres:")
}

// StateDir says which directory holds the state, and whether somebody named it:
// the one that was named, else the configuration's storage, else DefaultStateDir.
// It is empty where a database holds the state.
func (c *Config) StateDir(named string) (dir string, explicit bool, err error) {
	s, err := c.storage(named)
	return s.dir, s.named, err
}

// planStorage finds what can be known of the storage without opening it.
func (c *Config) planStorage(p *plan, _ shell) error {
	s, err := c.storage("")
	if err != nil || s.database == "" {
		return err
	}
	if c.MasterKey == "" && !c.written("/master_key") {
		return c.At("/storage", "storage: a database needs a master_key, which all its servers share: make one with `head -c 32 /dev/urandom | base64`, keep it in a file of mode 0600, and say master_key {file.PATH}")
	}
	if postgres.Unproven(s.database) {
		p.warnings = append(p.warnings, "storage: nothing proves that the database server is the right one, and what goes there may be read on the way: add sslmode=verify-full to the URL")
	}
	return nil
}

func (c *Config) written(pointer string) bool {
	_, ok := c.lines[pointer]
	return ok
}

// openEngine opens what holds the records.
func openEngine(ctx context.Context, o StateOptions) (store.Store, error) {
	if o.Database != "" {
		engine, err := postgres.Open(ctx, postgres.Options{URL: o.Database, Existing: o.Existing, Clock: o.Clock, Logger: o.Logger})
		if errors.Is(err, postgres.ErrEmpty) {
			err = errNoState
		}
		return engine, err
	}
	if err := prepareDir(o.Dir); err != nil {
		return nil, err
	}
	return badger.Open(ctx, badger.Options{Dir: filepath.Join(o.Dir, dbName), MinFree: o.MinFree, Clock: o.Clock, Logger: o.Logger})
}

// errNoState is the end of a command that looks for a state where there is none.
var errNoState = errors.New("there is no state")

// absent reports whether a directory surely holds no state. What cannot be read may
// hold one, and so may a database: who opens it finds out.
func (s *storage) absent() bool { return s.dir != "" && noState(s.dir) }

// there reports whether a place seems to hold a state. A database that cannot be
// read does: who opens it says why.
func (s *storage) there(ctx context.Context) bool {
	if s.dir == "" {
		holds, err := postgres.Holds(ctx, s.database)
		return holds || err != nil
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, dbName))
	return err == nil && len(entries) > 0
}
