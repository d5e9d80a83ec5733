package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// What stands in a state directory.
const (
	dbName     = "db"         // the engine's own directory
	keyName    = "master.key" // mode 0600
	socketName = "admin.sock" // mode 0600
)

// DefaultStateDir is where state lives when nothing says so:
// $XDG_STATE_HOME/sallyport if that variable is set, else ./sallyport-data.
func DefaultStateDir() string {
	if base := os.Getenv("XDG_STATE_HOME"); base != "" {
		return filepath.Join(base, "sallyport")
	}
	return "sallyport-data"
}

// prepareDir makes the state directory, mode 0700, or narrows an existing one
// to that mode: the master key and the admin socket lie in it.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the state directory %s: %w (choose another one with --state or storage)", dir, plain(err))
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at the state directory %s: %w", dir, plain(err))
	}
	if !info.IsDir() {
		return fmt.Errorf("the state directory %s is a file: choose another one with --state or storage", dir)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err := onlyOurs(dir); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("others may read the state directory %s, and its mode cannot be changed to 0700: %w", dir, plain(err))
	}
	return nil
}

// onlyOurs refuses a directory that holds other people's files, so that a
// mistyped --state /home/alice neither closes nor litters it.
func onlyOurs(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the state directory %s: %w", dir, plain(err))
	}
	for _, e := range entries {
		switch e.Name() {
		case dbName, keyName, socketName, "lost+found": // a file system of its own
		default:
			return fmt.Errorf("the state directory %s holds something else (%.40q): name an empty one, or one that Sallyport made, with --state or storage", dir, e.Name())
		}
	}
	return nil
}

// plain drops the "open /path:" that os puts before an error whose path the
// sentence names already.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// readKey reads the default master key; missing: fs.ErrNotExist.
func readKey(dir string) (secret.Key, error) {
	path := filepath.Join(dir, keyName)
	info, err := os.Stat(path)
	if err != nil {
		return secret.Key{}, fmt.Errorf("read the master key %s: %w", path, plain(err))
	}
	if info.Mode().Perm()&0o077 != 0 {
		return secret.Key{}, fmt.Errorf("the master key %s may be read by others: change its mode with chmod 600, and think about who has read it", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return secret.Key{}, fmt.Errorf("read the master key %s: %w", path, plain(err))
	}
	key, err := secret.ParseMasterKey(text)
	if err != nil {
		return secret.Key{}, fmt.Errorf("the master key %s %s", path, keyFault(err))
	}
	return key, nil
}

// keyFault is what is wrong with a master key, for a sentence that named it.
func keyFault(err error) string { return strings.TrimPrefix(err.Error(), "the master key ") }

// wrongKey is store.ErrWrongKey in a sentence that says it better.
type wrongKey string

func (e wrongKey) Error() string { return string(e) }
func (e wrongKey) Unwrap() error { return store.ErrWrongKey }

// makeKey writes a new master key and does not return before it is on disk: a
// store without its key is lost.
func makeKey(dir string) (secret.Key, error) {
	path := filepath.Join(dir, keyName)
	text := secret.NewMasterKeyText()
	key, err := secret.ParseMasterKey([]byte(text))
	if err != nil {
		return secret.Key{}, err
	}
	if err := writeSynced(path, []byte(text+"\n")); err != nil {
		return secret.Key{}, fmt.Errorf("write the master key %s: %w", path, plain(err))
	}
	return key, nil
}

// writeSynced makes a file that did not exist, whole or not at all.
func writeSynced(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), keyName+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content) // mode 0600 by CreateTemp
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil { // never over an existing key
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
