package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/notify/notifytest"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
)

// The flows of django-trench's sample client, in both dialects, and of fastapi_2fa's
// README with the device email, against the real binary and a mail server with TLS and a
// login.
func TestFlowsOfTheOlderSystemsByMail(t *testing.T) {
	for _, dialect := range []string{"0.2", "0.3"} {
		t.Run(dialect, func(t *testing.T) {
			ca := notifytest.NewCA(t)
			roots := filepath.Join(t.TempDir(), "roots.pem")
			if err := os.WriteFile(roots, ca.PEM, 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("SSL_CERT_FILE", roots)
			mail := notifytest.SMTP(t, notifytest.WithCertificate(ca.Issue(t, "localhost", "127.0.0.1")), notifytest.WithLogin("gate", "otter-paints-37", "PLAIN"))
			s := facades(t, "mail: "+mail.URL("gate", "otter-paints-37")+" Sallyport <no-reply@example.com>\n"+compattest.MailedWords(dialect))
			box := compattest.Mailbox{Next: func(to string) string {
				for {
					if m := mail.Next(t); m.To == to {
						if !m.TLS || m.User != "gate" {
							t.Errorf("a mail came with TLS %v by %q", m.TLS, m.User)
						}
						return m.Text
					}
				}
			}}
			compattest.Server{TB: t, URL: s.base, Run: func(stdin string, args ...string) string {
				out, errs, code := s.sallyport(stdin, args...)
				if code != 0 {
					t.Fatalf("sallyport %v: %d: %s", args, code, errs)
				}
				return out
			}}.Mailed(box, dialect)
		})
	}
}
