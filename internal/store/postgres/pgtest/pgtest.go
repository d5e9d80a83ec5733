// Package pgtest starts throw-away PostgreSQL servers for tests. They listen on a
// unix socket alone and are gone when the process of the test is, however it ends.
//
// They run with fsync and full_page_writes off: a test asks what a server says, not
// what its disk keeps when the power goes. Benchmarks ask for both (Durable).
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Roles that each server knows. Locked needs Password, all others come in as they are.
const (
	User     = "gate" // owns the databases; no superuser
	Locked   = "locked"
	Password = "correct-horse"
	root     = "postgres"
)

// Server is one PostgreSQL server with a data directory of its own.
type Server struct {
	bin, dir string
	flags    []string
	as       *syscall.Credential // nil: who runs the test
	lease    io.Closer           // of the shell that ends the server
	ended    chan struct{}
}

var (
	once   sync.Once
	shared *Server
	failed error
	names  atomic.Uint64
)

// URL names a new empty database on the server that all tests of this process share.
func URL(t testing.TB) string {
	t.Helper()
	once.Do(func() { shared, failed = start() })
	if failed != nil {
		t.Fatal(failed)
	}
	return shared.URL(t)
}

// Lasting is URL for what outlives the test that made it: its database is gone with
// the process.
func Lasting() (url string, err error) {
	once.Do(func() { shared, failed = start() })
	if failed != nil {
		return "", failed
	}
	name := newName()
	return shared.url(User, name), shared.exec(create(name))
}

// Files is where the server of this process keeps what its databases hold, written
// out at this moment. URL comes first.
func Files(t testing.TB) (dir string) {
	t.Helper()
	shared.Exec(t, "checkpoint")
	return shared.data()
}

// Start starts a server for one test.
func Start(t testing.TB) *Server {
	t.Helper()
	return startFor(t)
}

// Durable starts a server for one benchmark that keeps what it commits.
func Durable(t testing.TB) *Server {
	t.Helper()
	return startFor(t, "-c", "fsync=on", "-c", "full_page_writes=on")
}

func startFor(t testing.TB, flags ...string) *Server {
	t.Helper()
	s, err := start(flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// URL names a new empty database, dropped at the end of the test.
func (s *Server) URL(t testing.TB) string {
	t.Helper()
	name := newName()
	s.Exec(t, create(name))
	t.Cleanup(func() { s.Exec(t, "drop database if exists "+name+" with (force)") })
	return s.url(User, name)
}

func newName() string { return fmt.Sprintf("t%d", names.Add(1)) }

func create(name string) string { return "create database " + name + " owner " + User }

func (s *Server) url(as, database string) string {
	return "postgres://" + as + "@/" + database + "?host=" + s.dir
}

// Exec runs a statement as superuser.
func (s *Server) Exec(t testing.TB, statement string) {
	t.Helper()
	if err := s.exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func (s *Server) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url(root, "postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol)
	return errors.Join(err, conn.Close(ctx))
}

// Run runs a statement in a database, as its owner.
func Run(t testing.TB, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(context.Background(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Cut ends all connections to a database but the one that does it.
func Cut(t testing.TB, url string) {
	t.Helper()
	Run(t, url, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
}

// bin finds the programs of the newest server, which Debian keeps out of PATH.
func bin() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // fails for bad patterns only
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range append(found, filepath.SplitList(os.Getenv("PATH"))...) {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("these tests need a PostgreSQL server: install it (Debian: apt-get install postgresql; `make deps-test` does it)")
}

func version(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

// unprivileged finds whom root becomes: PostgreSQL refuses to run as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.ParseUint(u.Uid, 10, 32)
			gid, _ := strconv.ParseUint(u.Gid, 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("root may not run PostgreSQL, and there is neither a user postgres nor nobody to run it as")
}

func start(flags ...string) (*Server, error) {
	s := &Server{flags: flags}
	var err error
	if s.bin, err = bin(); err == nil {
		s.as, err = unprivileged()
	}
	if err != nil {
		return nil, err
	}
	base := os.TempDir()
	if len(base) > 60 { // the path of a socket is short
		base = "/tmp"
	}
	if s.dir, err = os.MkdirTemp(base, "sallyport-pg-"); err != nil {
		return nil, err
	}
	if err := s.make(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	if err := s.Start(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, s.exec("create role " + User + " login; create role " + Locked + " login password '" + Password + "'")
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// make makes the data directory.
func (s *Server) make() error {
	if s.as != nil {
		if err := os.Chown(s.dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return err
		}
	}
	cmd := s.command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", root, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	access := "local all " + Locked + " scram-sha-256\nlocal all all trust\n"
	path := filepath.Join(s.data(), "pg_hba.conf")
	if err := os.WriteFile(path, []byte(access), 0o600); err != nil {
		return err
	}
	return nil
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	// A group of its own: an interrupt of the tests is not for the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.as}
	return cmd
}

// A shell runs the server and waits for the end of its own input, which comes when
// the test's process ends, by whatever. Then the server is stopped at once.
const lease = `"$@" & server=$!; cat >/dev/null; kill -QUIT $server; wait $server; [ -e "$DIR/keep" ] || rm -rf "$DIR"`

// Start starts the server, after Halt too, and waits until it answers.
func (s *Server) Start() error {
	args := []string{"-c", lease, "sh", filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.dir,
		"-c", "listen_addresses=", "-c", "max_connections=300", "-c", "fsync=off", "-c", "full_page_writes=off"}
	cmd := s.command("sh", append(args, s.flags...)...)
	cmd.Env = append(os.Environ(), "DIR="+s.dir)
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.lease, s.ended = input, make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(s.ended)
	}()
	return s.wait()
}

// wait asks until the server answers.
func (s *Server) wait() error {
	deadline := time.Now().Add(time.Minute)
	for {
		err := s.exec("select 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
		case <-time.After(20 * time.Millisecond):
			if time.Now().Before(deadline) {
				continue
			}
		}
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return fmt.Errorf("the PostgreSQL server does not answer: %w\n%s", err, log)
	}
}

// Halt stops the server as a crash would, and keeps what it holds for Start.
func (s *Server) Halt(t testing.TB) {
	t.Helper()
	keep := filepath.Join(s.dir, "keep")
	if err := os.WriteFile(keep, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.end()
	if err := os.Remove(keep); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("unix", filepath.Join(s.dir, ".s.PGSQL.5432")); err == nil {
		_ = conn.Close()
		t.Fatal("the server still answers")
	}
}

// Stop stops the server and removes what it holds.
func (s *Server) Stop() {
	s.end()
	_ = os.RemoveAll(s.dir)
}

func (s *Server) end() {
	if s.lease != nil {
		_ = s.lease.Close()
		<-s.ended
		s.lease = nil
	}
}
