// Package post sends letters over HTTP: short messages by Twilio and SMSAPI, and
// signed webhooks for everything else.
package post

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/notify"
)

const (
	answerTime = 30 * time.Second
	maxAnswer  = 64 << 10 // bytes read of an answer
)

// newClient follows no redirect, so that credentials and codes go where the
// configuration says and nowhere else, and waits a bounded time.
func newClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		Timeout:       answerTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answer is what the other side said.
type answer struct {
	status int
	body   []byte
}

// send posts a body. Errors do not hold the URL, which may be a secret.
func send(ctx context.Context, c *http.Client, to string, body string, headers map[string]string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		return answer{}, errors.New("the URL is not one that can be asked")
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("User-Agent", "Sallyport")
	resp, err := c.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	return answer{status: resp.StatusCode, body: text}, nil
}

// good tells whether a status says that the other side took it.
func (a *answer) good() bool { return a.status >= 200 && a.status <= 299 }

// final tells whether a status refuses this one letter, for good. What asks for
// other credentials, another address or patience is not about the letter.
func (a *answer) final() bool {
	switch a.status {
	case http.StatusBadRequest, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

func (a *answer) refusal(who, text string, final bool) error {
	said := fmt.Sprintf("%s answered %d", who, a.status)
	if text != "" {
		said += ": " + text
	}
	return &notify.Refusal{Text: said, Final: final}
}

// CheckURL demands https, or http to this machine, and no login in the URL.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("expected a URL such as https://pager.example.com/hook, without a login in it")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return errors.New("expected https: codes and links stand in what is sent (http is for this machine alone)")
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
