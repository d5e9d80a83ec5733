package post_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/notify/notifytest"
	"github.com/sallyport-auth/sallyport/internal/notify/post"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
)

const (
	account   = "AC00000000000000000000000000000000"
	signature = "v1=1eddbf5d5d56caad83d384bad3e3b2654ddc0e483cf8758faefea347cc9bfbf3"
)

func letter(to string) notify.Letter {
	return notify.Letter{ID: "0123456789abcdef0123456789abcdef", Kind: notify.LoginCode, Method: notify.SMS, To: to, Queued: time.Now(),
		Subject: "Your code", Text: "Example: 123456 & more is your code", Data: map[string]string{notify.FieldCode: "123456"}}
}

// refusal is the answer of a sender that must not have succeeded.
func refusal(t *testing.T, err error) *notify.Refusal {
	t.Helper()
	var refused *notify.Refusal
	if !errors.As(err, &refused) {
		t.Fatalf("expected a refusal, not %v", err)
	}
	return refused
}

func TestTwilio(t *testing.T) {
	g := notifytest.Twilio(t, account, account, "the token")
	sender := &post.Twilio{Account: account, Token: secret.NewText("the token"), From: "+41445550100", Base: g.URL()}
	if err := sender.Send(t.Context(), letter("+41791234567")); err != nil {
		t.Fatal(err)
	}
	if m := g.Next(t); m.To != "+41791234567" || m.From != "+41445550100" || m.Text != "Example: 123456 & more is your code" {
		t.Errorf("came: %+v", m)
	}
	if r := refusal(t, sender.Send(t.Context(), letter("079 123"))); !r.Final || !strings.Contains(r.Text, "21211") {
		t.Errorf("a number that is none: %v, final %v", r, r.Final)
	}
	wrong := *sender
	wrong.Token = secret.NewText("another")
	if r := refusal(t, wrong.Send(t.Context(), letter("+41791234567"))); r.Final || strings.Contains(r.Text, "another") {
		t.Errorf("a wrong token: %v, final %v", r, r.Final)
	}
	key := notifytest.Twilio(t, account, "SK1", "the key's secret")
	byKey := &post.Twilio{Account: account, Key: "SK1", Token: secret.NewText("the key's secret"), Service: "MG1", Base: key.URL() + "/"}
	if err := byKey.Send(t.Context(), letter("+41791234567")); err != nil {
		t.Fatal(err)
	}
	if m := key.Next(t); m.From != "MG1" {
		t.Errorf("came: %+v", m)
	}
	g.None(t)
}

func TestSMSAPI(t *testing.T) {
	g := notifytest.SMSAPI(t, "the token")
	sender := &post.SMSAPI{Token: secret.NewText("the token"), From: "Example", Base: g.URL()}
	for range 2 { // the second is the repetition of a try whose answer was lost
		if err := sender.Send(t.Context(), letter("+41791234567")); err != nil {
			t.Fatal(err)
		}
	}
	if m := g.Next(t); m.To != "+41791234567" || m.From != "Example" || !strings.Contains(m.Text, "123456") {
		t.Errorf("came: %+v", m)
	}
	g.None(t)
	// Mistakes come with status 200: whoever looks at that alone loses the message.
	if r := refusal(t, sender.Send(t.Context(), letter("nobody"))); !r.Final || !strings.Contains(r.Text, "error 13") {
		t.Errorf("a number that is none: %v, final %v", r, r.Final)
	}
	wrong := *sender
	wrong.Token = secret.NewText("another")
	if r := refusal(t, wrong.Send(t.Context(), letter("+41791234567"))); r.Final || strings.Contains(r.Text, "another") {
		t.Errorf("a wrong token: %v, final %v", r, r.Final)
	}
}

func TestWebhookIsSigned(t *testing.T) {
	now := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	r := notifytest.Webhook(t, "a secret of the pager", clock)
	sender := &post.Webhook{URL: r.URL() + "/hook", Secret: secret.NewText("a secret of the pager"), Site: "Example", Clock: clock}
	l := letter("pager 17")
	l.Method, l.Realm, l.Person = "pager", "users", principal.NewID()
	for range 2 { // the same id: a receiver drops the second
		if err := sender.Send(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	if h := r.Next(t); h.ID != l.ID || h.Kind != "login_code" || h.Method != "pager" || h.To != "pager 17" || h.Data["code"] != "123456" ||
		h.Realm != "users" || h.Person != l.Person.String() || h.Timestamp != now.Unix() || h.Text != l.Text {
		t.Errorf("came: %+v", h)
	}
	forged := *sender
	forged.Secret = secret.NewText("not the secret of the pager")
	if ref := refusal(t, forged.Send(t.Context(), l)); ref.Final {
		t.Errorf("a wrong secret gives the message up: %v", ref)
	}
	late := *sender
	late.Clock = func() time.Time { return now.Add(-time.Hour) }
	l.ID = strings.Repeat("1", 32)
	refusal(t, late.Send(t.Context(), l))
	r.Gateway.None(t)
}

// The signature is over the time and the body, so that neither can be exchanged; the
// value is that of the manual's example.
func TestSignatureIsThatOfTheManual(t *testing.T) {
	if got := post.Sign(secret.NewText("correct horse battery staple"), "1767225600", []byte(`{"id":"1"}`)); got != signature {
		t.Errorf("signature %s", got)
	}
}

// The other side, or who took its name, answers with a redirect to somewhere else.
// Gained before: the credentials or the code, at an address of the attacker's choice.
func TestRedirectsAreNotFollowed(t *testing.T) {
	reached := make(chan string, 10)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.URL.Path }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		g := notifytest.SMSAPI(t, "token")
		g.Answer(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) })
		for name, sender := range senders(g.URL()) {
			if r := refusal(t, sender.Send(t.Context(), letter("+41791234567"))); r.Final {
				t.Errorf("%s: %d gives the message up", name, status)
			}
		}
	}
	select {
	case path := <-reached:
		t.Errorf("a redirect to %s was followed", path)
	default:
	}
}

// Answers that are no answers: none is a success, and none is read without bound.
func TestHostileAnswers(t *testing.T) {
	g := notifytest.SMSAPI(t, "token")
	for name, answer := range map[string]http.HandlerFunc{
		"empty":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) },
		"HTML":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<h1>It works!</h1>")) },
		"other JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"count":0,"list":[],"sid":""}`)) },
		"array":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[]`)) },
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			for range 1 << 12 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		},
		"500": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", http.StatusInternalServerError) },
		"429": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", http.StatusTooManyRequests) },
		"failed": func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"sid": "SM1", "status": "failed", "count": 1, "list": []any{map[string]any{"id": "", "error": 13}}})
		},
	} {
		g.Answer(answer)
		for who, sender := range senders(g.URL()) {
			if who == "webhook" && !strings.HasPrefix(name, "4") && !strings.HasPrefix(name, "5") {
				continue // any 2xx is a yes
			}
			if err := sender.Send(t.Context(), letter("+41791234567")); err == nil {
				t.Errorf("%s: %s: taken for a yes", who, name)
			}
		}
	}
}

func TestErrorsDoNotHoldTheURL(t *testing.T) {
	h := &post.Webhook{URL: "http://127.0.0.1:1/hook/very-secret-path", Secret: secret.NewText("a secret of the pager"), Clock: time.Now}
	if err := h.Send(t.Context(), letter("x")); err == nil || strings.Contains(err.Error(), "very-secret-path") {
		t.Errorf("%v", err)
	}
}

func senders(base string) map[string]notify.Sender {
	return map[string]notify.Sender{
		"Twilio":  &post.Twilio{Account: account, Token: secret.NewText("token"), From: "X", Base: base},
		"SMSAPI":  &post.SMSAPI{Token: secret.NewText("token"), Base: base},
		"webhook": &post.Webhook{URL: base + "/hook", Secret: secret.NewText("a secret of the pager"), Clock: time.Now},
	}
}

func TestCheckURL(t *testing.T) {
	for text, good := range map[string]bool{
		"https://pager.example.com/hook": true, "http://127.0.0.1:8080/hook": true, "http://localhost/hook": true, "http://[::1]/x": true,
		"http://pager.example.com/hook": false, "https://u:p@pager.example.com/": false, "ftp://x/": false, "pager.example.com": false, "": false, "https:///x": false,
	} {
		if err := post.CheckURL(text); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}
