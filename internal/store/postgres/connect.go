package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Is tells whether a text is the URL of a PostgreSQL database.
func Is(text string) bool {
	return strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://")
}

// Place names the database of a URL, without user and password: two URLs with the
// same place are the same store. The error says what is expected and shows nothing
// of the URL.
func Place(text string) (string, error) {
	place, _, err := parse(text)
	return place, err
}

var errURL = errors.New("expected a URL such as postgres://USER:PASSWORD@HOST/DATABASE")

// parse reads a URL. The driver's own errors show parts of it.
func parse(text string) (place string, config *pgx.ConnConfig, err error) {
	if !Is(text) {
		return "", nil, errURL
	}
	if _, err := url.Parse(text); err != nil {
		return "", nil, fmt.Errorf("%w; what is not a letter, a digit, - . _ or ~ in user or password is written as %%XX", errURL)
	}
	config, err = pgx.ParseConfig(text)
	if err != nil {
		return "", nil, fmt.Errorf("%w; it, or a variable PG… of the environment, has a parameter that PostgreSQL does not know or a file that cannot be read", errURL)
	}
	if config.Database == "" {
		return "", nil, fmt.Errorf("%w: it names no database", errURL)
	}
	// A password with a / or @ in it moves into the database's or the server's name,
	// which messages show.
	if strings.ContainsAny(config.Database, "@/:") || strings.ContainsAny(config.Host, "@") {
		return "", nil, fmt.Errorf("%w; what is not a letter, a digit, - . _ or ~ in user or password is written as %%XX", errURL)
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > time.Minute {
		config.ConnectTimeout = connectLimit
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "sallyport"
	}
	return placeOf(config), config, nil
}

// Unproven reports whether a connection by this URL may end at a stranger's server:
// it leaves this machine, and no certificate is verified.
func Unproven(text string) bool {
	_, config, err := parse(text)
	if err != nil {
		return false
	}
	unproven := func(host string, t *tls.Config) bool {
		ip, err := netip.ParseAddr(host)
		near := strings.HasPrefix(host, "/") || host == "localhost" || err == nil && ip.IsLoopback()
		return !near && (t == nil || t.InsecureSkipVerify && t.VerifyPeerCertificate == nil && t.VerifyConnection == nil)
	}
	return unproven(config.Host, config.TLSConfig) || slices.ContainsFunc(config.Fallbacks, func(f *pgconn.FallbackConfig) bool {
		return unproven(f.Host, f.TLSConfig)
	})
}

// placeOf writes servers, database and schema, always in the same form.
func placeOf(c *pgx.ConnConfig) string {
	servers := map[string]bool{address(c.Host, c.Port): true}
	for _, f := range c.Fallbacks {
		servers[address(f.Host, f.Port)] = true
	}
	place := strings.Join(slices.Sorted(maps.Keys(servers)), ",") + "/" + c.Database
	if path := c.RuntimeParams["search_path"]; path != "" {
		place += " (" + path + ")"
	}
	return place
}

func address(host string, port uint16) string {
	if !strings.HasPrefix(host, "/") { // else a directory with a socket
		host = strings.ToLower(host)
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// connect opens a connection for Views.
func (d *db) connect(ctx context.Context) (*pgx.Conn, error) { return d.connectFor(ctx, viewIdle) }

// connectFor opens a connection with our limits, on which a commit is durable,
// whatever the database's defaults are. Only the URL itself may say something else.
// They are set afterwards, because poolers take few parameters at the start.
func (d *db) connectFor(ctx context.Context, idle time.Duration) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, d.config)
	if err != nil {
		return nil, err
	}
	set := "select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'"
	for name, value := range map[string]time.Duration{
		"statement_timeout": serverLimit, "lock_timeout": d.opt.testOnlyLock, "idle_in_transaction_session_timeout": idle,
	} {
		if d.config.RuntimeParams[name] == "" {
			set += "; set " + name + " = " + strconv.FormatInt(value.Milliseconds(), 10)
		}
	}
	if err := run(conn, set); err != nil {
		closeConn(conn)
		return nil, err
	}
	return conn, nil
}

// run executes statements that have no parameters and no rows, in one message.
func run(conn *pgx.Conn, statements string) error {
	ctx, cancel := answering()
	defer cancel()
	_, err := conn.PgConn().Exec(ctx, statements).ReadAll()
	return err
}

// answering bounds one exchange with the server. It is never a caller's context:
// that one's end in the middle of an exchange would cost the connection, and all
// who share the transaction their commit.
func answering() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), answerLimit)
}

// ended ends a transaction; a connection that cannot do so is closed, and nil.
func ended(conn *pgx.Conn) *pgx.Conn {
	if conn.IsClosed() || conn.PgConn().TxStatus() != 'I' && run(conn, "rollback") != nil {
		closeConn(conn)
		return nil
	}
	return conn
}

func closeConn(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // the server notices
}

// Sizes of the pool for Views.
const (
	poolSize = 10
	// A View may stand inside another one, or inside an Update. If all connections
	// were taken by Views that wait for one, waiting would never end: those who stand
	// inside, and nobody else, may have more.
	poolExtra = 10
)

// errBusy is the end of a View that found no free connection for too long.
var errBusy = errors.New("all connections for reading have been in use for too long")

// caller is what transactions that stand inside each other have in common: the end
// of their context. Callers that share one for other reasons count as one.
type caller <-chan struct{}

// pool keeps connections for Views. Set it up with init.
type pool struct {
	open     func(context.Context) (*pgx.Conn, error)
	patience time.Duration
	room     chan struct{} // one token for each connection in use
	inner    chan struct{} // the same, for those who stand inside

	mu     sync.Mutex
	idle   []*pgx.Conn
	inside map[caller]int // transactions that run
	closed bool
}

func (p *pool) init(open func(context.Context) (*pgx.Conn, error), patience time.Duration) {
	p.open, p.patience = open, patience
	p.room, p.inner, p.inside = make(chan struct{}, poolSize), make(chan struct{}, poolExtra), map[caller]int{}
}

// lease is a connection in use.
type lease struct {
	conn *pgx.Conn
	room <-chan struct{}
}

// get takes a connection: idle, or new. Each one needs a put or a lost.
func (p *pool) get(ctx context.Context) (lease, error) {
	room, err := p.enter(ctx)
	if err != nil {
		return lease{}, err
	}
	conn := p.pop()
	if conn == nil {
		if conn, err = p.open(ctx); err != nil {
			<-room
			return lease{}, err
		}
	}
	return lease{conn, room}, nil
}

// enter waits for room, and answers where a token was left.
func (p *pool) enter(ctx context.Context) (<-chan struct{}, error) {
	select {
	case p.room <- struct{}{}:
		return p.room, nil
	default:
	}
	var inner chan struct{} // nil: not for this one
	if p.stands(ctx) {
		inner = p.inner
	}
	timer := time.NewTimer(p.patience)
	defer timer.Stop()
	select {
	case p.room <- struct{}{}:
		return p.room, nil
	case inner <- struct{}{}:
		return p.inner, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, errBusy
	}
}

// stand notes that a transaction runs: a View of the same caller stands inside.
func (p *pool) stand(ctx context.Context) (end func()) {
	c := caller(ctx.Done())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inside[c]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.inside[c]--; p.inside[c] == 0 {
			delete(p.inside, c)
		}
	}
}

func (p *pool) stands(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inside[ctx.Done()] > 0
}

func (p *pool) pop() *pgx.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	conn := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return conn
}

// put ends a lease.
func (p *pool) put(l lease) {
	conn := ended(l.conn)
	p.mu.Lock()
	keep := conn != nil && !p.closed && len(p.idle) < poolSize
	if keep {
		p.idle = append(p.idle, conn)
	}
	p.mu.Unlock()
	if !keep {
		closeConn(conn)
	}
	<-l.room // last: who comes next finds it, or may open another one
}

// lost says that a connection was closed by the server. The idle ones have likely
// met the same end.
func (p *pool) lost(l lease) {
	closeConn(l.conn)
	<-l.room
	p.drop()
}

func (p *pool) drop() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, conn := range idle {
		closeConn(conn)
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drop()
}
