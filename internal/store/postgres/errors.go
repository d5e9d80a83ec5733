package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// SQLSTATE codes that mean something to us (PostgreSQL, appendix A).
const (
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codePassword      = "28P01"
	codeAuthorization = "28000"
	codeNoDatabase    = "3D000"
	codeNoSchema      = "3F000"
	codePrivilege     = "42501"
	codeReadOnly      = "25006"
	codeConnections   = "53300"
	codeDiskFull      = "53100"
	codeLockTimeout   = "55P03"
	codeIdle          = "25P03" // the server ended a transaction that did nothing
)

func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// conflict: the transaction was rolled back because of another one, and may run again.
func conflict(err error) bool { c := code(err); return c == codeSerialization || c == codeDeadlock }

// unreachable: there is no connection (any more), and another try may find one.
func unreachable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// Class 08: connection exceptions. 57P01 to 57P03: stopping, crashed, starting.
		// Full today may have room in a moment.
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "57P0") || pg.Code == codeIdle || pg.Code == codeConnections
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded)
}

// rolledBack: the server said itself, on a connection that lives on, that it did
// not commit.
func rolledBack(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.SeverityUnlocalized == "ERROR"
}

// unavailable is store.ErrUnavailable in a sentence that says it better.
type unavailable struct{ error }

func (u unavailable) Is(target error) bool { return target == store.ErrUnavailable }
func (u unavailable) Unwrap() error        { return u.error }

// explain says what failed, where, and the way out. The texts of PostgreSQL and of
// the driver name users and databases, never passwords.
func (d *db) explain(what string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	at := fmt.Sprintf("%s: the database %s", what, d.place)
	if errors.Is(err, errUnknown) || errors.Is(err, errBusy) {
		return unavailable{fmt.Errorf("%s: %w", at, err)}
	}
	user := d.config.User
	switch code(err) {
	case codePassword, codeAuthorization:
		return fmt.Errorf("%s: the server does not let the user %q in: look at user and password of the URL, and at pg_hba.conf (SQLSTATE %s)", at, user, code(err))
	case codeNoDatabase:
		return fmt.Errorf("%s does not exist: make it with `createdb --owner=%s %s`", at, user, d.config.Database)
	case codeNoSchema:
		return fmt.Errorf("%s: no schema to make tables in: make it, and look at search_path", at)
	case codePrivilege:
		return fmt.Errorf("%s: the user %q may not do this: let it own the database, or a schema of its own (%w)", at, user, err)
	case codeReadOnly:
		return unavailable{fmt.Errorf("%s: this server only reads (a standby?): name the primary, or add target_session_attrs=read-write to the URL", at)}
	case codeConnections:
		return unavailable{fmt.Errorf("%s: the server has no connection left: raise max_connections (%w)", at, err)}
	case codeDiskFull:
		return fmt.Errorf("%s: %w on the disk of the server (nothing was lost)", at, store.ErrNoSpace)
	case codeLockTimeout:
		return unavailable{fmt.Errorf("%s: another node did not give the lock back in time (%w)", at, err)}
	case codeSerialization, codeDeadlock:
		return unavailable{fmt.Errorf("%s: %w", at, err)}
	}
	if unreachable(err) {
		return unavailable{fmt.Errorf("%s cannot be reached: %w", at, cause(err))}
	}
	return fmt.Errorf("%s: %w", at, err)
}

// cause drops the names that the sentence has already.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
