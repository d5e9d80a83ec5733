// Package notifytest stands in for those who carry messages: a real SMTP server with
// TLS and logins, Twilio, SMSAPI and a receiver of webhooks, all on loopback and as
// strict as their protocols. It is for tests alone.
package notifytest

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// patience is how long a test waits for what should come, in real time.
const patience = 20 * time.Second

// Mail is one mail that came.
type Mail struct {
	From, To string // of the envelope
	Subject  string
	Text     string
	HTML     string
	Header   mail.Header
	Raw      string
	User     string // who logged in; empty: nobody
	TLS      bool
	UTF8     bool // the envelope was sent with SMTPUTF8
}

// Server is an SMTP server.
type Server struct {
	t        testing.TB
	ca       *CA
	implicit bool
	noTLS    bool
	noUTF8   bool
	mechs    []string
	user     string
	password string
	cert     *tls.Certificate

	mu       sync.Mutex
	address  string
	server   *smtp.Server
	refuse   func(to string) error
	swallow  bool
	accepted int
	mails    chan Mail
}

// Option changes a Server.
type Option func(*Server)

// WithImplicitTLS has the server speak TLS from the first byte.
func WithImplicitTLS() Option { return func(s *Server) { s.implicit = true } }

// WithoutTLS has the server offer no STARTTLS.
func WithoutTLS() Option { return func(s *Server) { s.noTLS = true } }

// WithoutUTF8 has the server take ASCII addresses alone.
func WithoutUTF8() Option { return func(s *Server) { s.noUTF8 = true } }

// WithLogin demands a login by one of these mechanisms: PLAIN, LOGIN, CRAM-MD5.
func WithLogin(user, password string, mechanisms ...string) Option {
	return func(s *Server) { s.user, s.password, s.mechs = user, password, mechanisms }
}

// WithCertificate has the server show this certificate instead of one for Host.
func WithCertificate(cert tls.Certificate) Option { return func(s *Server) { s.cert = &cert } }

// Host is a name that the server's certificate is for, besides localhost and 127.0.0.1.
const Host = "mail.example.test"

// SMTP starts a server on loopback that offers STARTTLS; it ends with the test.
func SMTP(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{t: t, ca: NewCA(t), mails: make(chan Mail, 10_000)}
	for _, o := range options {
		o(s)
	}
	if s.cert == nil {
		cert := s.ca.Issue(t, Host, "localhost", "127.0.0.1")
		s.cert = &cert
	}
	s.address = "127.0.0.1:0"
	s.Up()
	t.Cleanup(s.Down)
	return s
}

// Up starts the server again, at the address that it had.
func (s *Server) Up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatalf("start the mail server: %v", err)
	}
	s.address = listener.Addr().String()
	config := &tls.Config{Certificates: []tls.Certificate{*s.cert}, MinVersion: tls.VersionTLS12}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &visit{s: s, c: c}, nil }))
	server.Domain, server.AllowInsecureAuth, server.EnableSMTPUTF8 = Host, true, !s.noUTF8
	server.MaxMessageBytes, server.ReadTimeout, server.WriteTimeout = 1<<20, time.Minute, time.Minute
	server.ErrorLog = silent{}
	switch {
	case s.implicit:
		listener = tls.NewListener(listener, config)
	case !s.noTLS:
		server.TLSConfig = config
	}
	s.server = server
	go func() { _ = server.Serve(listener) }()
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// Down stops the server; connections end.
func (s *Server) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		_ = s.server.Close()
		s.server = nil
	}
}

// URL is what a configuration says about the server, without the sender. Without a
// user nobody logs in.
func (s *Server) URL(user, password string) string {
	scheme := "smtp://"
	if s.implicit {
		scheme = "smtps://"
	}
	if user != "" {
		scheme += user + ":" + password + "@"
	}
	return scheme + s.Address()
}

// Address is host:port.
func (s *Server) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// Roots are the authorities of its certificate.
func (s *Server) Roots() *x509.CertPool { return s.ca.Pool }

// Refuse has fn judge each recipient from now on; nil: all are welcome.
func (s *Server) Refuse(fn func(to string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = fn
}

// Refusal is an answer of the server, for Refuse.
func Refusal(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: text}
}

// Swallow has the server take each mail over and lose the connection before it can
// say so: nobody can know then whether it came.
func (s *Server) Swallow(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swallow = on
}

// Next waits for the next mail.
func (s *Server) Next(t testing.TB) Mail {
	t.Helper()
	select {
	case m := <-s.mails:
		return m
	case <-time.After(patience):
		t.Fatal("no mail came")
		return Mail{}
	}
}

// None fails the test where a mail came that nobody waited for.
func (s *Server) None(t testing.TB) {
	t.Helper()
	select {
	case m := <-s.mails:
		t.Fatalf("a mail came to %s that should not: %s", m.To, m.Subject)
	default:
	}
}

// Accepted is how many mails came so far.
func (s *Server) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// visit is one connection.
type visit struct {
	s    *Server
	c    *smtp.Conn
	user string
	mail Mail
}

func (v *visit) AuthMechanisms() []string { return v.s.mechs }

func (v *visit) Auth(mechanism string) (sasl.Server, error) {
	judge := func(user, password string) error {
		if subtle.ConstantTimeCompare([]byte(user+"\x00"+password), []byte(v.s.user+"\x00"+v.s.password)) != 1 {
			return smtp.ErrAuthFailed
		}
		v.user = user
		return nil
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return judge(user, password) }), nil
	case sasl.Login:
		return &ask{judge: judge}, nil
	case "CRAM-MD5":
		return &cram{v: v, challenge: "<" + rand.Text() + "@" + Host + ">"}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (v *visit) Reset()        { v.mail = Mail{} }
func (v *visit) Logout() error { return nil }

func (v *visit) Mail(from string, o *smtp.MailOptions) error {
	if v.s.user != "" && v.user == "" {
		return smtp.ErrAuthRequired
	}
	v.mail.From = from
	v.mail.UTF8 = o != nil && o.UTF8
	return nil
}

func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	v.s.mu.Lock()
	refuse := v.s.refuse
	v.s.mu.Unlock()
	if v.mail.To != "" {
		return errors.New("one recipient for each mail")
	}
	if refuse != nil {
		if err := refuse(to); err != nil {
			return err
		}
	}
	v.mail.To = to
	return nil
}

func (v *visit) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m := v.mail
	m.Raw, m.User = string(raw), v.user
	_, m.TLS = v.c.TLSConnectionState()
	if err := m.parse(); err != nil {
		return &smtp.SMTPError{Code: 554, Message: err.Error()}
	}
	v.s.mu.Lock()
	swallow := v.s.swallow
	v.s.accepted++
	v.s.mu.Unlock()
	v.s.mails <- m
	if swallow {
		_ = v.c.Conn().Close()
	}
	return nil
}

// parse takes a mail apart, and refuses what is not one.
func (m *Mail) parse() error {
	for _, line := range strings.SplitAfter(m.Raw, "\n") {
		if line != "" && !strings.HasSuffix(line, "\r\n") {
			return errors.New("a line does not end in CRLF")
		}
		if len(line) > 1000 {
			return errors.New("a line is longer than 998 characters")
		}
	}
	msg, err := mail.ReadMessage(strings.NewReader(m.Raw))
	if err != nil {
		return err
	}
	m.Header = msg.Header
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject")); err != nil {
		return err
	}
	for _, name := range []string{"From", "To", "Date", "Message-Id", "Subject"} {
		if len(msg.Header[name]) != 1 {
			return fmt.Errorf("%d headers %s", len(msg.Header[name]), name)
		}
	}
	return m.part(msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Body)
}

func (m *Mail) part(contentType, encoding string, body io.Reader) error {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return err
	}
	if strings.HasPrefix(kind, "multipart/") {
		for parts := multipart.NewReader(body, params["boundary"]); ; {
			p, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := m.part(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p); err != nil {
				return err
			}
		}
	}
	if strings.EqualFold(encoding, "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	switch kind {
	case "text/plain":
		m.Text = string(text)
	case "text/html":
		m.HTML = string(text)
	default:
		return errors.New("a part that is neither text nor HTML")
	}
	return nil
}
