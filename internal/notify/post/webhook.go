package post

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/secret"
)

// The headers of a webhook.
const (
	HeaderID        = "Sallyport-Message"   // the id, the same at each try
	HeaderTimestamp = "Sallyport-Timestamp" // Unix seconds of this try
	HeaderSignature = "Sallyport-Signature" // v1= and the hexadecimal HMAC-SHA256 over TIMESTAMP "." BODY
)

// MinSecret is the length that a webhook's secret has at least, in bytes: what is
// guessed offline must not be.
const MinSecret = 16

// Webhook sends letters to a program of the operator's, signed, so that it can tell
// them from anybody else's, and an old one from a new one.
type Webhook struct {
	URL    string
	Secret secret.Text
	Site   string
	Clock  func() time.Time // of the timestamp

	Transport http.RoundTripper // nil: the usual one
}

// hook is the body of a webhook.
type hook struct {
	ID      string            `json:"id"`
	Kind    notify.Kind       `json:"kind"`
	Method  string            `json:"method"`
	To      string            `json:"to"`
	Site    string            `json:"site,omitempty"`
	Realm   string            `json:"realm,omitempty"`
	Person  string            `json:"person,omitempty"`
	Subject string            `json:"subject"`
	Text    string            `json:"text"`
	HTML    string            `json:"html,omitempty"`
	Data    map[string]string `json:"data"`
	Queued  time.Time         `json:"queued_at"`
	Expires *time.Time        `json:"expires_at,omitempty"`
}

// Send implements [notify.Sender]. Any status from 200 to 299 says that the letter
// was taken.
func (h *Webhook) Send(ctx context.Context, l notify.Letter) error {
	out := hook{ID: l.ID, Kind: l.Kind, Method: l.Method, To: l.To, Site: h.Site, Realm: l.Realm, Subject: l.Subject, Text: l.Text, HTML: l.HTML, Data: l.Data, Queued: l.Queued}
	if out.Data == nil {
		out.Data = map[string]string{}
	}
	if !l.Person.IsZero() {
		out.Person = l.Person.String()
	}
	if !l.Expires.IsZero() {
		out.Expires = &l.Expires
	}
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	at := strconv.FormatInt(h.Clock().Unix(), 10)
	a, err := send(ctx, newClient(h.Transport), h.URL, string(body), map[string]string{
		"Content-Type":  "application/json",
		HeaderID:        l.ID,
		HeaderTimestamp: at,
		HeaderSignature: Sign(h.Secret, at, body),
	})
	if err != nil || a.good() {
		return err
	}
	return a.refusal("the webhook", "", a.final())
}

// Sign is the value of HeaderSignature.
func Sign(key secret.Text, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}
