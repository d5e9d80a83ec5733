package post

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/secret"
)

// SMSAPIURL is where SMSAPI answers.
const SMSAPIURL = "https://api.smsapi.com"

// SMSAPI sends short messages by SMSAPI's HTTP API (sms.do). Each carries the
// letter's id as idx, so that a second try of what arrived is no second message.
type SMSAPI struct {
	Token secret.Text
	From  string // a sender's name that the account has; empty: the account's default
	Base  string // empty: SMSAPIURL

	Transport http.RoundTripper // nil: the usual one
}

// Errors of SMSAPI that are about the letter alone, and the one for a letter that
// was taken at an earlier try.
const (
	smsapiTooLong   = 11
	smsapiTooMany   = 12 // parts
	smsapiNoNumber  = 13
	smsapiDuplicate = 53
)

// Send implements [notify.Sender].
func (s *SMSAPI) Send(ctx context.Context, l notify.Letter) error {
	form := url.Values{"to": {strings.TrimPrefix(l.To, "+")}, "message": {l.Text}, "format": {"json"}, "encoding": {"utf-8"},
		"idx": {l.ID}, "check_idx": {"1"}}
	if s.From != "" {
		form.Set("from", s.From)
	}
	base := s.Base
	if base == "" {
		base = SMSAPIURL
	}
	a, err := send(ctx, newClient(s.Transport), strings.TrimSuffix(base, "/")+"/sms.do", form.Encode(), map[string]string{
		"Content-Type":  "application/x-www-form-urlencoded",
		"Accept":        "application/json",
		"Authorization": "Bearer " + s.Token.Reveal(),
	})
	if err != nil {
		return err
	}
	// Refusals come with status 200 too.
	var said struct {
		Error   int    `json:"error"`
		Message string `json:"message"`
		Count   int    `json:"count"`
		List    []struct {
			ID    string `json:"id"`
			Error any    `json:"error"`
		} `json:"list"`
	}
	parsed := json.Unmarshal(a.body, &said) == nil
	switch {
	case parsed && said.Error == smsapiDuplicate:
		return nil
	case parsed && said.Error != 0:
		final := said.Error == smsapiTooLong || said.Error == smsapiTooMany || said.Error == smsapiNoNumber
		return a.refusal("SMSAPI", "error "+strconv.Itoa(said.Error)+": "+said.Message, final)
	case a.good() && parsed && said.Count > 0 && len(said.List) > 0 && said.List[0].ID != "" && said.List[0].Error == nil:
		return nil
	}
	return a.refusal("SMSAPI", "this is not the answer to a message that was taken", false)
}
