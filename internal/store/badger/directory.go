package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// prepare looks at the directory before Badger does: Badger takes any directory,
// and dies of a full disk.
func prepare(opt Options) (*reserve, error) {
	if opt.InMemory {
		if opt.Dir != "" {
			return nil, errors.New("open store: a store in memory has no directory")
		}
		return nil, nil
	}
	if opt.Dir == "" {
		return nil, errors.New("open store: no directory given")
	}
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, directoryError(opt.Dir, err)
	}
	if err := refuseForeign(opt.Dir); err != nil {
		return nil, err
	}
	held := newReserve(opt.Dir, max(opt.MinFree, DefaultMinFree))
	return held, held.checkOpen()
}

var badgerFile = regexp.MustCompile(`^(LOCK|KEYREGISTRY|MANIFEST|MANIFEST-REWRITE|REWRITE-KEYREGISTRY|DISCARD|reserve|lost\+found|\d+\.(vlog|mem|sst))$`)

// refuseForeign lets Badger only into an empty directory or one of its own.
func refuseForeign(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return directoryError(dir, err)
	}
	for _, entry := range entries {
		if !badgerFile.MatchString(entry.Name()) {
			return fmt.Errorf("open store in %s: %w: found %q, which is no file of the store; name an empty or a new directory", dir, store.ErrForeign, entry.Name())
		}
	}
	return nil
}

func directoryError(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("open store in %s: %w; give this directory to the user that runs sallyport (uid %d), or name another", dir, err, os.Getuid())
	case isFile(dir):
		return fmt.Errorf("open store in %s: %w: this is a file; name a directory", dir, store.ErrForeign)
	}
	return fmt.Errorf("open store in %s: %w", dir, err)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// openError turns Badger's errors into ours. Badger drops the errno of its lock,
// so that only the text tells.
func openError(dir string, err error) error {
	if !strings.Contains(err.Error(), "Cannot acquire directory lock") {
		return fmt.Errorf("open store in %s: %w", dir, err)
	}
	by := "another process"
	if pid, err := os.ReadFile(filepath.Join(dir, "LOCK")); err == nil {
		switch pid := strings.TrimSpace(string(pid)); pid {
		case "":
		case strconv.Itoa(os.Getpid()):
			by = "this process"
		default:
			by = "process " + pid
		}
	}
	return fmt.Errorf("open store in %s: %w (%s); stop it, or let it do the work: management commands reach a running server through its admin socket", dir, store.ErrLocked, by)
}
