package post

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/secret"
)

// TwilioURL is where Twilio answers.
const TwilioURL = "https://api.twilio.com"

// Twilio sends short messages by Twilio's HTTP API, version 2010-04-01.
type Twilio struct {
	Account string      // "AC" and 32 hexadecimal digits
	Key     string      // of an API key; empty: the account, with its auth token
	Token   secret.Text // the account's, or the secret of Key
	From    string      // a number or a sender's name
	Service string      // "MG…", a messaging service, instead of From
	Base    string      // empty: TwilioURL

	Transport http.RoundTripper // nil: the usual one
}

// Send implements [notify.Sender].
func (t *Twilio) Send(ctx context.Context, l notify.Letter) error {
	form := url.Values{"To": {l.To}, "Body": {l.Text}}
	if t.Service != "" {
		form.Set("MessagingServiceSid", t.Service)
	} else {
		form.Set("From", t.From)
	}
	base, user := t.Base, t.Key
	if base == "" {
		base = TwilioURL
	}
	if user == "" {
		user = t.Account
	}
	a, err := send(ctx, newClient(t.Transport), strings.TrimSuffix(base, "/")+"/2010-04-01/Accounts/"+url.PathEscape(t.Account)+"/Messages.json", form.Encode(), map[string]string{
		"Content-Type":  "application/x-www-form-urlencoded",
		"Accept":        "application/json",
		"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+t.Token.Reveal())),
	})
	if err != nil {
		return err
	}
	var said struct {
		SID     string `json:"sid"`
		Status  any    `json:"status"` // a word of a message, the number of an error
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	parsed := json.Unmarshal(a.body, &said) == nil
	switch {
	case a.good() && parsed && said.SID != "" && said.Status != "failed":
		return nil
	case a.good():
		return a.refusal("Twilio", "this is not the answer to a message that was taken", false)
	}
	text := said.Message
	if said.Code != 0 {
		text = "error " + strconv.Itoa(said.Code) + ": " + text
	}
	return a.refusal("Twilio", text, a.status == http.StatusBadRequest)
}
