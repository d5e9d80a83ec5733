package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// reserve guards a directory against a full disk. Free space is checked; and a
// file of real blocks is held, because others may fill the disk to the last byte
// while we run, and Badger still has to write its memtables when it closes. The
// file is there while the store is open and given up just before Badger closes.
type reserve struct {
	dir, file string
	minFree   uint64
	held      uint64 // bytes of the file; read and written by one goroutine at a time
}

const (
	reserveFile = "reserve"
	holdSize    = 3 * memTable // the active memtable and those that wait
)

func newReserve(dir string, minFree uint64) *reserve {
	r := &reserve{dir: dir, file: filepath.Join(dir, reserveFile), minFree: minFree}
	r.held = heldBlocks(r.file) // left by a crash
	return r
}

// checkOpen answers ErrNoSpace when there is no room to open the store. Badger
// compacts at once, and which files, only it knows.
func (r *reserve) checkOpen() error {
	return r.check(holdSize-min(r.held, holdSize), func() uint64 { return min(tableBytes(r.dir), maxCompaction) })
}

const (
	plenty        = 1 << 30 // with that much free nobody counts
	maxCompaction = 64 << 20
)

// check answers ErrNoSpace when more bytes, and what compactions may write before
// they remove what they read, would leave less than the minimum.
func (r *reserve) check(more uint64, compaction func() uint64) error {
	if r == nil {
		return nil
	}
	free, err := freeSpace(r.dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", r.dir, err)
	}
	if free > plenty+r.minFree+more {
		return nil
	}
	if need := r.minFree + more + compaction(); free < need {
		return fmt.Errorf("%w: the disk of %s has %d MiB free and the store needs %d MiB; make room there (nothing was lost)", store.ErrNoSpace, r.dir, free>>20, (need+1<<20-1)>>20)
	}
	return nil
}

// tableBytes is the size of all tables in a directory.
func tableBytes(dir string) (sum uint64) {
	tables, _ := filepath.Glob(filepath.Join(dir, "*.sst")) // fails for bad patterns only
	for _, table := range tables {
		if info, err := os.Stat(table); err == nil {
			sum += uint64(info.Size())
		}
	}
	return sum
}

// hold makes the file. File systems that cannot reserve blocks do without.
func (r *reserve) hold() error {
	if r == nil || r.held >= holdSize {
		return nil
	}
	f, err := os.OpenFile(r.file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("hold disk space: %w", err)
	}
	if allocate(f, holdSize) == nil {
		r.held = holdSize
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("hold disk space: %w", err)
	}
	return nil
}

// release gives the file's blocks back.
func (r *reserve) release() error {
	if r == nil {
		return nil
	}
	if err := os.Remove(r.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
