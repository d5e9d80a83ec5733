// Package mail sends letters by SMTP (RFC 5321).
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
)

// answerTime bounds how long the server may let us wait: for the connection with
// greeting and login, and for each letter.
const answerTime = 30 * time.Second

// Account is where and as whom mail is sent. [Parse] makes one.
type Account struct {
	Host     string
	Port     int
	Implicit bool // TLS from the first byte, instead of STARTTLS
	User     string
	Password secret.Text
	From     netmail.Address

	// Roots are the authorities that the server's certificate may come from. Nil:
	// the system's.
	Roots *x509.CertPool
	// Dial makes the connection. Nil: TCP to Host and Port.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Parse reads "smtp://USER:PASSWORD@HOST:PORT FROM". USER and PASSWORD, which go
// together, stand as they are, with nothing escaped; without a port it is 587, or 465
// for smtps://. FROM is an address, or a name and an address in angle brackets.
// Errors hold no part of the text.
func Parse(text string) (Account, error) {
	scheme, rest, found := strings.Cut(text, "://")
	a := Account{Port: 587}
	switch {
	case found && scheme == "smtps":
		a.Implicit, a.Port = true, 465
	case !found || scheme != "smtp":
		return a, errors.New("expected log, or smtp://USER:PASSWORD@HOST:PORT (smtps:// for TLS from the start) and the sender, such as Sallyport <no-reply@example.com>")
	}
	if strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) {
		return a, errors.New("expected one line of text")
	}
	// Passwords may hold an @, and so may the sender's name: the first split that
	// leaves a host and a good sender is the right one.
	err := errors.New("expected the sender behind the URL, such as Sallyport <no-reply@example.com>")
	for _, at := range splits(rest) {
		login, server := "", rest
		if at >= 0 {
			login, server = rest[:at], rest[at+1:]
		}
		m := regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]+))?/?(?:\s+(.*))?$`).FindStringSubmatch(server)
		if m == nil {
			continue
		}
		if failed := a.take(login, m[1], m[2], m[3]); failed != nil {
			err = failed
			continue
		}
		return a, nil
	}
	return a, err
}

// splits are the places where an @ may end the login, -1 where there is none.
func splits(rest string) []int {
	at := []int{-1}
	for i := range len(rest) {
		if rest[i] == '@' {
			at = append(at, i)
		}
	}
	return at
}

func (a *Account) take(login, host, port, from string) error {
	a.Host = strings.Trim(host, "[]")
	if port != "" {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return errors.New("the port: expected 1 to 65535")
		}
		a.Port = n
	}
	if login != "" {
		user, password, found := strings.Cut(login, ":")
		if !found || user == "" || password == "" {
			return errors.New("expected USER:PASSWORD before the @ of the host")
		}
		a.User, a.Password = user, secret.NewText(password)
	}
	address, err := netmail.ParseAddress(from)
	if err != nil {
		return errors.New("expected the sender behind the URL, such as Sallyport <no-reply@example.com>")
	}
	if _, err := principal.CanonicalAddress(address.Address); err != nil {
		return errors.New("the sender's address is not a plain one, such as no-reply@example.com")
	}
	a.From = *address
	return nil
}

// Loopback reports whether the server is this machine.
func (a *Account) Loopback() bool {
	ip, err := netip.ParseAddr(a.Host)
	return a.Host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// Sender sends letters as an account, each over a connection of its own.
type Sender struct {
	account Account
	helo    string
}

// New returns a Sender. Nothing is connected.
func New(a Account) *Sender {
	helo := "localhost"
	if _, domain, ok := strings.Cut(a.From.Address, "@"); ok {
		helo = domain
	}
	return &Sender{account: a, helo: helo}
}

// Send gives a letter to the server. STARTTLS is used where it is offered, and
// demanded unless the server is this machine; a certificate that does not fit is
// refused, but for STARTTLS on this machine, where none would be demanded.
// Errors: *notify.Refusal, final for what the server will never take.
func (s *Sender) Send(ctx context.Context, l notify.Letter) error {
	msg, err := s.message(l)
	if err != nil {
		return err
	}
	var line line
	defer line.close()
	client, err := s.client(ctx, &line)
	if err != nil {
		return err
	}
	server, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("connect to the mail server: %w", err)
	}
	if utf8, _ := server.Extension("SMTPUTF8"); !utf8 && !ascii(l.To) {
		return &notify.Refusal{Text: "the mail server takes no addresses with letters beyond ASCII (SMTPUTF8)", Final: true}
	}
	err = client.SendWithSMTPClient(server, msg)
	if msg.IsDelivered() { // whatever went wrong afterwards: it was taken over
		_ = client.CloseWithSMTPClient(server)
		return nil
	}
	return refusal(err)
}

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}

// refusal tells what the server will never take from what may pass. Where it asks
// for a login or for TLS, the configuration is wrong, not the letter.
func refusal(err error) error {
	var failed *gomail.SendError
	if !errors.As(err, &failed) {
		return fmt.Errorf("send by SMTP: %w", err)
	}
	code := failed.ErrorCode()
	final := code >= 500 && code <= 599
	switch code {
	case 530, 534, 535, 538:
		final = false
	}
	return &notify.Refusal{Text: "the mail server: " + failed.Error(), Final: final}
}

// line is the connection of one letter. The library knows deadlines but no context,
// and leaves the connection open where it fails.
type line struct {
	conn net.Conn
	stop func() bool
}

func (l *line) open(ctx context.Context, conn net.Conn) {
	l.conn, l.stop = conn, context.AfterFunc(ctx, func() { _ = conn.Close() })
}

func (l *line) close() {
	if l.conn != nil {
		l.stop()
		_ = l.conn.Close()
	}
}

func (s *Sender) client(whole context.Context, l *line) (*gomail.Client, error) {
	a := &s.account
	config := &tls.Config{ServerName: a.Host, RootCAs: a.Roots, MinVersion: tls.VersionTLS12}
	policy := gomail.TLSMandatory
	if a.Loopback() {
		policy = gomail.TLSOpportunistic
		// Local servers have certificates that nobody issued. Who could stand between
		// could offer no STARTTLS at all, and would be believed.
		config.InsecureSkipVerify = !a.Implicit
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		plain := a.Dial
		if plain == nil {
			plain = (&net.Dialer{}).DialContext
		}
		c, err := plain(ctx, network, address)
		if err != nil {
			return nil, err
		}
		l.open(whole, c)
		if !a.Implicit {
			return c, nil
		}
		secure := tls.Client(c, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		return secure, nil
	}
	options := []gomail.Option{
		gomail.WithPort(a.Port), gomail.WithTimeout(answerTime), gomail.WithHELO(s.helo), gomail.WithTLSConfig(config),
		gomail.WithTLSPolicy(policy), gomail.WithDialContextFunc(dial),
	}
	if a.Implicit {
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS)) // it is there already
	}
	if a.User != "" {
		options = append(options, gomail.WithSMTPAuthCustom(&login{user: a.User, password: a.Password, local: a.Loopback()}))
	}
	client, err := gomail.NewClient(a.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("prepare SMTP: %w", err)
	}
	return client, nil
}

// message writes a letter as RFC 5322 has it. Its id is the letter's, so that
// whoever gets it twice can tell.
func (s *Sender) message(l notify.Letter) (*gomail.Msg, error) {
	to, err := principal.CanonicalAddress(l.To)
	if err != nil {
		return nil, &notify.Refusal{Text: "the recipient's address is none that mail is sent to", Final: true}
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	from := s.account.From
	msg.FromMailAddress(&from)
	msg.EnvelopeFromMailAddress(&netmail.Address{Address: from.Address})
	msg.ToMailAddress(&netmail.Address{Address: to})
	msg.Subject(l.Subject)
	_, domain, _ := strings.Cut(from.Address, "@")
	msg.SetMessageIDWithValue(l.ID + "@" + domain)
	msg.SetDateWithValue(l.Queued)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no vacation answers
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	msg.SetBodyString(gomail.TypeTextPlain, l.Text)
	if l.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, l.HTML)
	}
	return msg, nil
}

// login chooses how to log in: by a mechanism that does not show the password where
// the server has one.
type login struct {
	user     string
	password secret.Text
	local    bool
	chosen   smtp.Auth
}

// Start implements [smtp.Auth].
func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS && !l.local {
		return "", nil, errors.New("no password is sent to another machine without TLS")
	}
	offered := map[string]bool{}
	for _, name := range server.Auth {
		offered[strings.ToUpper(name)] = true
	}
	user, password := l.user, l.password.Reveal()
	switch {
	case offered["SCRAM-SHA-256"]:
		l.chosen = smtp.ScramSHA256Auth(user, password)
	case offered["SCRAM-SHA-1"]:
		l.chosen = smtp.ScramSHA1Auth(user, password)
	case offered["CRAM-MD5"]:
		l.chosen = smtp.CRAMMD5Auth(user, password)
	case offered["PLAIN"]:
		l.chosen = smtp.PlainAuth("", user, password, server.Name, l.local)
	case offered["LOGIN"]:
		l.chosen = smtp.LoginAuth(user, password, server.Name, l.local)
	default:
		return "", nil, errors.New("the server offers no way to log in that is known here (SCRAM-SHA-256, SCRAM-SHA-1, CRAM-MD5, PLAIN, LOGIN)")
	}
	return l.chosen.Start(server)
}

// Next implements [smtp.Auth].
func (l *login) Next(fromServer []byte, more bool) ([]byte, error) {
	return l.chosen.Next(fromServer, more)
}
