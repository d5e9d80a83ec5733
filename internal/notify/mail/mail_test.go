package mail_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/notify/mail"
	"github.com/sallyport-auth/sallyport/internal/notify/notifytest"
)

const from = " Sallyport <no-reply@example.com>"

func letter(to string) notify.Letter {
	return notify.Letter{ID: "0123456789abcdef0123456789abcdef", Kind: notify.LoginCode, Method: notify.Email, To: to,
		Queued: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC), Subject: "Your code", Text: "Hello,\n\n123456\n.\n..\nend\n", HTML: "<p>123456</p>"}
}

// account is one of the server, which is asked under the name in its certificate, as
// if it were another machine.
func account(t *testing.T, s *notifytest.Server, user, password string) mail.Account {
	t.Helper()
	a, err := mail.Parse(s.URL(user, password) + from)
	if err != nil {
		t.Fatal(err)
	}
	a.Host, a.Roots = notifytest.Host, s.Roots()
	a.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.Address())
	}
	return a
}

func TestMailArrives(t *testing.T) {
	for name, options := range map[string][]notifytest.Option{"STARTTLS": nil, "TLS from the start": {notifytest.WithImplicitTLS()}} {
		t.Run(name, func(t *testing.T) {
			s := notifytest.SMTP(t, options...)
			if err := mail.New(account(t, s, "", "")).Send(t.Context(), letter("alice@example.org")); err != nil {
				t.Fatal(err)
			}
			m := s.Next(t)
			if !m.TLS || m.From != "no-reply@example.com" || m.To != "alice@example.org" || m.Subject != "Your code" {
				t.Errorf("came: %+v", m)
			}
			if m.Text != "Hello,\n\n123456\n.\n..\nend\n" || m.HTML != "<p>123456</p>" {
				t.Errorf("text %q, HTML %q", m.Text, m.HTML)
			}
			for header, expected := range map[string]string{
				"From": `"Sallyport" <no-reply@example.com>`, "To": "<alice@example.org>", "Auto-Submitted": "auto-generated",
				"Message-Id": "<0123456789abcdef0123456789abcdef@example.com>", "Date": "Mon, 04 May 2026 09:00:00 +0000",
			} {
				if got := m.Header.Get(header); got != expected {
					t.Errorf("%s: %q, expected %q", header, got, expected)
				}
			}
			for _, telling := range []string{"User-Agent", "X-Mailer"} {
				if m.Header.Get(telling) != "" {
					t.Errorf("%s: %s", telling, m.Header.Get(telling))
				}
			}
		})
	}
}

func TestLogins(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "LOGIN", "CRAM-MD5"} {
		s := notifytest.SMTP(t, notifytest.WithLogin("sally@example.com", "p@ss: w%rd", mechanism))
		if err := mail.New(account(t, s, "sally@example.com", "p@ss: w%rd")).Send(t.Context(), letter("alice@example.org")); err != nil {
			t.Errorf("%s: %v", mechanism, err)
			continue
		}
		if m := s.Next(t); m.User != "sally@example.com" || !m.TLS {
			t.Errorf("%s: came %+v", mechanism, m)
		}
		err := mail.New(account(t, s, "sally@example.com", "not-the-password")).Send(t.Context(), letter("alice@example.org"))
		var refused *notify.Refusal
		if err == nil || errors.As(err, &refused) && refused.Final || strings.Contains(err.Error(), "not-the-password") {
			t.Errorf("%s with a wrong password: %v", mechanism, err)
		}
		s.None(t)
	}
}

// Somebody on the way takes STARTTLS out of what the server offers. Gained before:
// the password and all codes.
func TestNothingGoesToAnotherMachineWithoutTLS(t *testing.T) {
	s := notifytest.SMTP(t, notifytest.WithoutTLS(), notifytest.WithLogin("sally", "password", "PLAIN", "LOGIN", "CRAM-MD5"))
	if err := mail.New(account(t, s, "sally", "password")).Send(t.Context(), letter("alice@example.org")); err == nil {
		t.Error("sent in clear")
	}
	s.None(t)
	// On this machine nobody stands on the way.
	a, err := mail.Parse(s.URL("sally", "password") + from)
	if err != nil {
		t.Fatal(err)
	}
	if err := mail.New(a).Send(t.Context(), letter("alice@example.org")); err != nil {
		t.Fatal(err)
	}
	s.Next(t)
}

// Somebody on the way answers in the server's place, with a certificate that is not
// the server's. Gained before: the password and all codes.
func TestCertificatesThatDoNotFitAreRefused(t *testing.T) {
	foreign, own := notifytest.NewCA(t), notifytest.NewCA(t)
	for name, c := range map[string]struct {
		option notifytest.Option
		roots  *notifytest.CA
	}{
		"of another authority": {notifytest.WithCertificate(foreign.Issue(t, notifytest.Host)), own},
		"for another name":     {notifytest.WithCertificate(own.Issue(t, "mail.example.net")), own},
		"ended":                {notifytest.WithCertificate(own.IssueUntil(t, time.Now().Add(-time.Hour), notifytest.Host)), own},
	} {
		for _, implicit := range []bool{false, true} {
			options := []notifytest.Option{c.option, notifytest.WithLogin("sally", "password", "PLAIN")}
			if implicit {
				options = append(options, notifytest.WithImplicitTLS())
			}
			s := notifytest.SMTP(t, options...)
			a := account(t, s, "sally", "password")
			a.Roots = c.roots.Pool
			if err := mail.New(a).Send(t.Context(), letter("alice@example.org")); err == nil {
				t.Errorf("%s, from the start: %v: sent", name, implicit)
			}
			s.None(t)
		}
	}
	// From the start, on this machine too: whoever says smtps means it.
	s := notifytest.SMTP(t, notifytest.WithImplicitTLS())
	a, err := mail.Parse(s.URL("", "") + from)
	if err != nil {
		t.Fatal(err)
	}
	if err := mail.New(a).Send(t.Context(), letter("alice@example.org")); err == nil {
		t.Error("a certificate of nobody was taken from 127.0.0.1")
	}
}

// A stranger registers with an address, or an administrator names an installation,
// so that a header begins in the middle. Gained before: mail in our name to anybody,
// with any text.
func TestHeadersCannotBeInjected(t *testing.T) {
	s := notifytest.SMTP(t)
	sender := mail.New(account(t, s, "", ""))
	for _, to := range []string{
		"a@example.org\r\nBcc: b@example.org", "a@example.org\nRCPT TO:<b@example.org>", "a@example.org>\r\nRCPT TO:<b@example.org", "a@example.org, b@example.org",
		"a@example.org> SIZE=1", "Alice <a@example.org>", "a@example.org\x00", "\"a b\"@example.org", "a@[127.0.0.1]", "a@b@example.org", "", "@", "a@", "@example.org",
		"a@example.org\u2028Bcc: b@example.org", "<a@example.org>", "a@example.org;b@example.org",
	} {
		err := sender.Send(t.Context(), letter(to))
		var refused *notify.Refusal
		if !errors.As(err, &refused) || !refused.Final {
			t.Errorf("%q: %v", to, err)
		}
	}
	s.None(t)
	for _, subject := range []string{"Hello\r\nBcc: b@example.org", "Hello\n\n<script>", "=?utf-8?q?x=0D=0ABcc:_b@example.org?=", strings.Repeat("long ", 200), "Grüße aus Zürich ☃"} {
		l := letter("alice@example.org")
		l.Subject = subject
		l.Text = "first\r\n.\r\nMAIL FROM:<b@example.org>\r\n"
		if err := sender.Send(t.Context(), l); err != nil {
			t.Errorf("%q: %v", subject, err)
			continue
		}
		m := s.Next(t)
		if m.Header.Get("Bcc") != "" || m.To != "alice@example.org" || !strings.Contains(m.Text, "MAIL FROM") {
			t.Errorf("%q: came %s", subject, m.Raw)
		}
	}
	if s.Accepted() != 5 {
		t.Errorf("%d mails for five letters", s.Accepted())
	}
}

func TestOddAddressesArrive(t *testing.T) {
	s := notifytest.SMTP(t)
	sender := mail.New(account(t, s, "", ""))
	for to, envelope := range map[string]string{
		"o'brien+tag=x@example.org":                "o'brien+tag=x@example.org",
		"-f@example.org":                           "-f@example.org",
		"Alice.Smith@EXAMPLE.org":                  "alice.smith@example.org",
		"a@xn--mnchen-3ya.example":                 "a@xn--mnchen-3ya.example",
		"a@münchen.example":                        "a@xn--mnchen-3ya.example",
		"jürgen@example.org":                       "jürgen@example.org",
		strings.Repeat("a", 64) + "@example.org":   strings.Repeat("a", 64) + "@example.org",
		"a_b-c.d@sub.sub.sub.example.org":          "a_b-c.d@sub.sub.sub.example.org",
		"123456@example.org":                       "123456@example.org",
		"user@" + strings.Repeat("b", 60) + ".org": "user@" + strings.Repeat("b", 60) + ".org",
	} {
		if err := sender.Send(t.Context(), letter(to)); err != nil {
			t.Errorf("%s: %v", to, err)
			continue
		}
		if m := s.Next(t); m.To != envelope {
			t.Errorf("%s: came to %s", to, m.To)
		}
	}
	ascii := notifytest.SMTP(t, notifytest.WithoutUTF8())
	err := mail.New(account(t, ascii, "", "")).Send(t.Context(), letter("jürgen@example.org"))
	var refused *notify.Refusal
	if !errors.As(err, &refused) || !refused.Final {
		t.Errorf("an address that the server cannot have: %v", err)
	}
	ascii.None(t)
}

func TestRefusalsAreToldApart(t *testing.T) {
	s := notifytest.SMTP(t)
	sender := mail.New(account(t, s, "", ""))
	for code, final := range map[int]bool{550: true, 553: true, 450: false, 452: false, 421: false, 530: false} {
		s.Refuse(func(string) error { return notifytest.Refusal(code, "no") })
		err := sender.Send(t.Context(), letter("alice@example.org"))
		var refused *notify.Refusal
		if !errors.As(err, &refused) || refused.Final != final {
			t.Errorf("%d: %v", code, err)
		}
	}
	s.Down()
	err := sender.Send(t.Context(), letter("alice@example.org"))
	var refused *notify.Refusal
	if err == nil || errors.As(err, &refused) {
		t.Errorf("a server that is away: %v", err)
	}
}

// A server that takes the connection and says nothing does not hold a worker beyond
// its context.
func TestSilentServerIsLeft(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	a, err := mail.Parse("smtp://" + listener.Addr().String() + from)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mail.New(a).Send(ctx, letter("alice@example.org")) }()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	select {
	case err := <-done:
		if err == nil {
			t.Error("sent to nobody")
		}
	case <-time.After(10 * time.Second):
		t.Error("still waiting")
	}
}

func TestParse(t *testing.T) {
	for text, expected := range map[string]mail.Account{
		"smtp://user:p@ss@mail.example.com:587 Sallyport <no-reply@example.com>": {Host: "mail.example.com", Port: 587, User: "user"},
		"smtps://mail.example.com no-reply@example.com":                          {Host: "mail.example.com", Port: 465, Implicit: true},
		"smtp://me@example.com:x:y/z#%41@[::1]:25/ <a@example.com>":              {Host: "::1", Port: 25, User: "me@example.com"},
		"smtp://localhost:25 \"Doe, Jane @ work\" <jane@example.com>":            {Host: "localhost", Port: 25},
	} {
		a, err := mail.Parse(text)
		if err != nil || a.Host != expected.Host || a.Port != expected.Port || a.User != expected.User || a.Implicit != expected.Implicit {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
	if a, err := mail.Parse("smtp://u:s@e:c/r#e%41 t@host.example X <a@example.com>"); err != nil || a.Password.Reveal() != "s@e:c/r#e%41 t" {
		t.Errorf("the password %q, %v", a.Password.Reveal(), err)
	}
	for _, text := range []string{
		"", "mail.example.com", "http://mail.example.com x@example.com", "smtp://mail.example.com", "smtp://hidden1@mail.example.com x@example.com",
		"smtp://user:@mail.example.com x@example.com", "smtp://mail.example.com:0 x@example.com", "smtp://mail.example.com:99999 x@example.com",
		"smtp://user:hidden1@mail.example.com not an address", "smtp://user:hidden1@mail.example.com a@example.com, b@example.com",
		"smtp://user:hidden1@mail.example.com X\r\nBcc: <a@example.com>", "smtp://user:hidden1@mail.example.com/path x@example.com",
	} {
		if _, err := mail.Parse(text); err == nil {
			t.Errorf("%s: taken", text)
		} else if strings.Contains(err.Error(), "hidden1") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
