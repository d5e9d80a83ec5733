package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// maxSocketPath is the longest path that a unix socket takes everywhere, in
// bytes (sun_path holds 108 with its NUL, 104 on BSD).
const maxSocketPath = 100

// socketPath says where the admin socket of a state directory is: in it, or,
// where that path is too long, in a directory of our own below the runtime
// directory.
func socketPath(dir string) string {
	path := filepath.Join(dir, socketName)
	if len(path) <= maxSocketPath {
		return path
	}
	base := os.Getenv("XDG_RUNTIME_DIR")
	if base == "" || len(base) > 60 {
		base = filepath.Join(os.TempDir(), "sallyport-"+strconv.Itoa(os.Getuid()))
	} else {
		base = filepath.Join(base, "sallyport")
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(base, hex.EncodeToString(sum[:8])+".sock")
}

// safeSocketDir demands that the socket's directory is ours alone: in a shared
// one anybody could put a socket of his own in our place.
func safeSocketDir(path string, create bool) error {
	dir := filepath.Dir(path)
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !ownOrRoot(owner.Uid) {
		return fmt.Errorf("the directory %s of the admin socket must belong to this user alone (mode 0700)", dir)
	}
	return nil
}

func ownOrRoot(uid uint32) bool { return uid == 0 || int(uid) == os.Getuid() }

// ListenAdmin opens the admin socket of a state directory, mode 0600. A stale
// socket is replaced: the caller holds the store's lock, so no other server
// lives. Peers that are neither our user nor root are hung up on.
func ListenAdmin(dir string) (net.Listener, error) {
	path := socketPath(dir)
	if err := safeSocketDir(path, true); err != nil {
		return nil, fmt.Errorf("open the admin socket: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replace the admin socket: %w", err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open the admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open the admin socket: %w", err), ln.Close())
	}
	return &ownPeers{UnixListener: ln}, nil
}

// bare drops the "dial unix /path: connect:" before the errno, in a sentence
// that names the path.
func bare(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// ownPeers accepts connections of our own user and of root.
type ownPeers struct{ *net.UnixListener }

func (l *ownPeers) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(conn); err == nil && ownOrRoot(uid) {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// DialAdmin returns a way to the admin socket of a running server, or nil when
// none answers.
func DialAdmin(ctx context.Context, dir string) (http.RoundTripper, error) {
	path := socketPath(dir)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reach the running server at %s: %w", path, bare(err))
	}
	_ = conn.Close()
	if err := safeSocketDir(path, false); err != nil {
		return nil, err
	}
	return &http.Transport{DialContext: dial, DisableKeepAlives: true}, nil
}
