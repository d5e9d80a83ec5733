package gateway_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/notify/notifytest"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const sender = " Example <no-reply@example.com>"

// openState opens a state of its own, as a shell that reloads does.
func openState(t *testing.T, dir string) *gateway.State {
	t.Helper()
	state, err := gateway.OpenState(t.Context(), gateway.StateOptions{Dir: dir, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// begin puts a configuration in force over a state.
func begin(t *testing.T, state *gateway.State, cfg gateway.Config, change ...func(*gateway.Options)) *gateway.Gateway {
	t.Helper()
	o := gateway.Options{Routes: true}
	for _, c := range change {
		c(&o)
	}
	g, err := gateway.OpenOn(t.Context(), cheap(cfg), state, o)
	if err == nil {
		err = g.Begin(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// queue puts a code into the outbox of a state.
func queue(t *testing.T, state *gateway.State, method, to string) error {
	t.Helper()
	return state.Store.Update(t.Context(), func(tx store.Tx) error {
		return state.Outbox().Queue(tx, notify.Message{Kind: notify.LoginCode, Method: method, To: to, Expires: tx.Now().Add(10 * time.Minute),
			Data: map[string]string{notify.FieldCode: "836492"}})
	})
}

func mustQueue(t *testing.T, state *gateway.State, method, to string) {
	t.Helper()
	if err := queue(t, state, method, to); err != nil {
		t.Fatal(err)
	}
}

// A reload: the outbox is the old one, and sends as the newest configuration says;
// one that something else refused gives way to the one before.
func TestOutboxOutlivesReloads(t *testing.T) {
	state := openState(t, filepath.Join(t.TempDir(), "state"))
	defer func() {
		if err := state.Close(); err != nil {
			t.Error(err)
		}
	}()
	first, second := notifytest.SMTP(t), notifytest.SMTP(t, notifytest.WithLogin("sally", "p@ss word", "PLAIN"))
	hook := notifytest.Webhook(t, "a secret of the pager", time.Now)
	old := begin(t, state, gateway.Config{Name: "First", Mail: first.URL("", "") + sender})
	mustQueue(t, state, notify.Email, "a@example.com")
	if m := first.Next(t); m.To != "a@example.com" || m.Subject != "Your code for First" || !strings.Contains(m.Text, "836492") {
		t.Errorf("came: %+v", m)
	}
	if err := queue(t, state, "pager", "17"); !errors.Is(err, notify.ErrNotConfigured) {
		t.Errorf("by a method of nobody: %v", err)
	}

	newest := begin(t, state, gateway.Config{Name: "Second", Mail: second.URL("sally", "p@ss word") + sender,
		Methods: map[string]gateway.Method{"pager": {Webhook: hook.URL() + "/hook", Secret: "a secret of the pager", Label: "The pager"}}})
	mustQueue(t, state, notify.Email, "b@example.com")
	if m := second.Next(t); m.To != "b@example.com" || m.Subject != "Your code for Second" || m.User != "sally" {
		t.Errorf("came: %+v", m)
	}
	mustQueue(t, state, "pager", "17")
	if h := hook.Next(t); h.To != "17" || h.Data["code"] != "836492" || !strings.HasPrefix(h.Text, "Second: 836492") {
		t.Errorf("came: %+v", h)
	}

	if got := state.Outbox().Label("pager"); got != "The pager" {
		t.Errorf("the pager is called %q", got)
	}

	if err := errors.Join(newest.Retract(t.Context()), old.Begin(t.Context())); err != nil {
		t.Fatal(err)
	}
	mustQueue(t, state, notify.Email, "c@example.com")
	if m := first.Next(t); m.To != "c@example.com" {
		t.Errorf("came: %+v", m)
	}
	if err := queue(t, state, "pager", "17"); !errors.Is(err, notify.ErrNotConfigured) {
		t.Errorf("by a method that was taken back: %v", err)
	}
	begin(t, state, gateway.Config{})
	if err := queue(t, state, notify.Email, "d@example.com"); !errors.Is(err, notify.ErrNotConfigured) {
		t.Errorf("without mail: %v", err)
	}
	first.None(t)
	second.None(t)
}

// What a server did not send before it ended, the next one does; a command that
// opens the state itself queues and sends nothing.
func TestMessagesOutliveTheServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	server := notifytest.SMTP(t)
	cfg := gateway.Config{Mail: server.URL("", "") + sender}
	state := openState(t, dir)
	g := begin(t, state, cfg, func(o *gateway.Options) { o.Offline = true })
	mustQueue(t, state, notify.Email, "a@example.com")
	if a := ask(t, g.AdminHandler(), "GET", "/sallyport/api/v1/outbox?state=waiting"); !strings.Contains(a, `"to":"a@example.com"`) || !strings.Contains(a, `"tries":0`) || strings.Contains(a, "836492") {
		t.Errorf("the outbox shows %s", a)
	}
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
	server.None(t)
	state = openState(t, dir)
	g = begin(t, state, cfg)
	if m := server.Next(t); m.To != "a@example.com" {
		t.Errorf("came: %+v", m)
	}
	for end := time.Now().Add(20 * time.Second); !strings.Contains(ask(t, g.AdminHandler(), "GET", "/sallyport/api/v1/outbox?state=sent"), "a@example.com"); {
		if time.Now().After(end) {
			t.Fatal("the message was not settled")
		}
	}
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, h http.Handler, method, target string) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	if w.Code >= 300 {
		t.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
	}
	return w.Body.String()
}

// Attack: somebody reads the log, or the screen of who mends a configuration. Gained
// before: the password of the mail account. And a word that is wrong is found where
// it stands.
func TestMistakesInMessagesHoldNoSecrets(t *testing.T) {
	const canary = "CANARY-d41d8cd9"
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "login_code.txt"), []byte("Hello\n{{.colour}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"mail: smtp://user:" + canary + "@mail.example.com\n":                                             "gateway.yaml:1: mail: expected the sender behind the URL",
		"mail: smtp://user:{file." + secretFile + "}@mail.example.com/x Example <no-reply@example.com>\n": "gateway.yaml:1: mail: expected",
		"mail: " + canary + "\n":                     "gateway.yaml:1: mail: expected log, or smtp://",
		"name: x\nmail: \"\"\n":                      "gateway.yaml:2: mail is empty",
		"sms: {twilio: {account: " + canary + "}}\n": "gateway.yaml:1: account: expected AC",
		"sms:\n  smsapi:\n    token: \"{file." + secretFile + "}\"\n    url: http://sms.example.com/\n": "gateway.yaml:4: url: expected https",
		"sms:\n  smsapi:\n    from: x\n": "gateway.yaml:2: token: expected",
		"sms: {}\n":                      "gateway.yaml:1: sms: expected log, or one of",
		"methods:\n  pager:\n    webhook: https://u:" + canary + "@pager.example.com/\n    secret: 0123456789abcdef\n": "gateway.yaml:3: webhook: expected a URL",
		"methods:\n  Pager: {webhook: https://pager.example.com/, secret: 0123456789abcdef}\n":                         "gateway.yaml:2: methods: expected a name",
		"methods:\n  email: {webhook: https://pager.example.com/, secret: 0123456789abcdef}\n":                         "gateway.yaml:2: methods: email is a method of ours",
		"methods:\n  pager: {webhook: https://pager.example.com/, secret: CANARY-1}\n":                                 "gateway.yaml:2: secret: expected at least 16",
		"methods:\n  pager: {webhook: https://pager.example.com/, secret: 0123456789abcdef, label: \" x\"}\n":          "gateway.yaml:2: label: expected",
		"templates: " + broken + "\n":           "login_code.txt:2: ",
		"name: x\ntemplates: /does/not/exist\n": "gateway.yaml:2: templates: the directory cannot be read",
	} {
		c, err := parse(t, text)
		if err == nil {
			err = c.Validate(false)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, expected %s", text, err, want)
		} else if strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Whoever leaves log in a configuration writes every code where others may read it:
// check and the start say so.
func TestTrialIsWarnedOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte("mail: log\nsms: log\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := gateway.Check(t.Context(), command.Global{Config: file, State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"mail: log", "sms: log"} {
		if !strings.Contains(strings.Join(report.Warnings, "\n"), word) {
			t.Errorf("check warns of %v", report.Warnings)
		}
	}
	var log buffer
	state := openState(t, filepath.Join(t.TempDir(), "state"))
	begin(t, state, gateway.Config{Mail: "log"}, func(o *gateway.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	mustQueue(t, state, notify.Email, "a@example.com")
	for end := time.Now().Add(20 * time.Second); !strings.Contains(log.String(), "836492"); {
		if time.Now().After(end) {
			t.Fatalf("the log says %s", log.String())
		}
	}
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "mail: log sends nothing") {
		t.Errorf("the start does not warn: %s", log.String())
	}
}
