// Package yubico asks servers of the Yubico validation protocol, version 2.0, whether
// what a YubiKey typed is good.
//
//	v, err := yubico.New(yubico.Options{ClientID: "12345", Key: key})
//	err = v.Validate(ctx, otp)
//
// A server takes each one-time password once, so ask once, and use the answer at once.
// Requests and answers are signed with the client's key; an answer counts only if it is
// signed, and one that is good only if it names the very one-time password and nonce
// that were asked about: an answer to another question, a recorded one, or one of
// somebody between says nothing.
// Source: "Validation Protocol Version 2.0", Yubico; where it is silent, what Yubico's
// own server (yubikey-val) does.
package yubico

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/otp"
)

// ErrRefused: a server says that the one-time password is not good, or was used.
var ErrRefused = errors.New("the one-time password is not good")

const (
	// DefaultServer is Yubico's own service.
	DefaultServer = "https://api.yubico.com/wsapi/2.0/verify"
	// maxServers bounds how many are asked.
	maxServers = 10
	// patience is how long one server has before the next one is asked too.
	patience = 2 * time.Second
	// deadline is how long all of them have.
	deadline = 8 * time.Second
	// syncSeconds is how long a server may wait for others of its cluster (parameter
	// timeout): less than the deadline, or it takes a one-time password, and nobody
	// hears of it.
	syncSeconds = "5"
	// maxAnswer bounds an answer, in bytes: real ones have some 300.
	maxAnswer = 4 << 10
	// maxPublic bounds the public identity, in letters: servers know no longer ones, and
	// sign nothing when they say so.
	maxPublic = 16
	// maxClient bounds the client's number, in digits.
	maxClient = 10
)

// Options of a Validator.
type Options struct {
	ClientID string // required: digits
	Key      string // required: the API key, in base64
	// Servers are URLs of validation servers, asked one after the other until one
	// answers; https, or http on loopback. They are one cluster, which tells each other
	// what was taken: two that do not would take a one-time password twice. None:
	// DefaultServer.
	Servers []string
	// Sync is how many percent of a cluster must agree (parameter sl), 1 to 100.
	// 0: what the server thinks right.
	Sync int
	// Transport is for tests. nil: one of this package.
	Transport http.RoundTripper
	// Patience is for tests; 0: two seconds before the next server is asked too.
	Patience time.Duration
}

// Validator asks. It is safe for concurrent use.
type Validator struct {
	id, sync string
	key      []byte
	servers  []*url.URL
	client   *http.Client
	patience time.Duration
}

// New returns a Validator. Errors say which option is wrong, and never repeat the key.
func New(o Options) (*Validator, error) {
	v := &Validator{id: o.ClientID, patience: o.Patience}
	if v.patience <= 0 {
		v.patience = patience
	}
	if strings.Trim(v.id, "0") == "" || strings.Trim(v.id, "0123456789") != "" || len(v.id) > maxClient {
		return nil, errors.New("client_id is a number, such as 12345")
	}
	var err error
	if v.key, err = base64.StdEncoding.DecodeString(o.Key); err != nil || len(v.key) < 16 {
		return nil, errors.New("key is the API key of the client, in base64, of at least 16 bytes")
	}
	if o.Sync < 0 || o.Sync > 100 {
		return nil, errors.New("sync is 1 to 100 percent")
	}
	if o.Sync > 0 {
		v.sync = fmt.Sprint(o.Sync)
	}
	if len(o.Servers) == 0 {
		o.Servers = []string{DefaultServer}
	}
	if len(o.Servers) > maxServers {
		return nil, fmt.Errorf("at most %d servers are asked", maxServers)
	}
	for _, text := range o.Servers {
		u, err := server(text)
		if err != nil {
			return nil, err
		}
		v.servers = append(v.servers, u)
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, MaxResponseHeaderBytes: maxAnswer,
			// A connection that is used again may be dead, and then net/http sends a GET
			// once more: after the server took the one-time password, perhaps.
			DisableKeepAlives: true,
		}
	}
	v.client = &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return v, nil
}

// server reads the URL of a server.
func server(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%.100q is no URL of a validation server, such as %s", text, DefaultServer)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return nil, fmt.Errorf("%.100q: a validation server is asked by https", text)
	}
	return u, nil
}

// Validate asks the servers, the next one as well as soon as one fails or is slow, and
// takes the first answer that decides. Nil: the one-time password is good, and was never
// asked about before. All get the same nonce, so a server that heard of the question
// from another one says REPLAYED_REQUEST, which decides nothing: the other one does.
// The text is read as otp.ParseYubiKey reads it; servers are asked about lower-case
// letters alone, because they answer in them whatever the question was.
// Errors: ErrRefused; anything else means that no server decided, and that the one-time
// password may be taken all the same.
func (v *Validator) Validate(ctx context.Context, text string) error {
	typed, err := otp.ParseYubiKey(text)
	if err != nil || len(typed.Public) > maxPublic {
		return ErrRefused
	}
	text = typed.String()
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	nonce := newNonce()
	answers := make(chan error, len(v.servers))
	asked, open := 0, 0
	next := func() {
		if asked < len(v.servers) {
			u := v.servers[asked]
			asked, open = asked+1, open+1
			go func() { answers <- v.ask(ctx, u, text, nonce) }()
		}
	}
	next()
	timer := time.NewTimer(v.patience)
	defer timer.Stop()
	var failures []error
	for open > 0 {
		select {
		case err := <-answers:
			open--
			if err == nil || errors.Is(err, ErrRefused) {
				return err
			}
			failures = append(failures, err)
			next()
		case <-timer.C:
			next()
			timer.Reset(v.patience)
		}
	}
	return fmt.Errorf("ask the validation servers: %w", errors.Join(failures...))
}

// newNonce is 32 letters and digits, which no other request has.
func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the program ends instead
	return hex.EncodeToString(b[:])
}

// ask puts the question to one server.
func (v *Validator) ask(ctx context.Context, u *url.URL, text, nonce string) error {
	question := map[string]string{"id": v.id, "otp": text, "nonce": nonce, "timeout": syncSeconds}
	if v.sync != "" {
		question["sl"] = v.sync
	}
	query := url.Values{"h": {Sign(v.key, question)}}
	for name, value := range question {
		query.Set(name, value)
	}
	target := *u
	target.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return fmt.Errorf("%s: no question can be put", u.Host)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", u.Host, withoutURL(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", u.Host, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
		return fmt.Errorf("%s: the answer did not arrive, or is too long", u.Host)
	}
	if err := v.judge(string(body), text, nonce); err != nil {
		return fmt.Errorf("%s: %w", u.Host, err)
	}
	return nil
}

// withoutURL is the cause of a failed request: the URL holds the one-time password.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// judge reads an answer. It decides nothing unless it is signed with the client's key. A
// good one names this one-time password and this nonce; a refusal names no others:
// yubikey-val leaves both out of BAD_OTP.
func (v *Validator) judge(body, text, nonce string) error {
	answer, err := parse(body)
	if err != nil {
		return err
	}
	status, given := answer["status"], answer["h"]
	if given == "" {
		return errors.New("the answer is not signed")
	}
	delete(answer, "h")
	signature, err := base64.StdEncoding.DecodeString(given)
	if err != nil || !hmac.Equal(signature, sum(v.key, answer)) {
		if status == "NO_SUCH_CLIENT" || status == "BAD_SIGNATURE" { // nobody's word, good for a hint
			return fmt.Errorf("the answer is signed with another key, and says %s: compare client_id and key with what the server's operator gave you", status)
		}
		return errors.New("the answer is signed with another key")
	}
	switch status {
	case "OK":
		if !echoes(answer, "otp", text) || !echoes(answer, "nonce", nonce) {
			return errors.New("the answer is to another question")
		}
		return nil
	case "BAD_OTP", "REPLAYED_OTP":
		for name, asked := range map[string]string{"otp": text, "nonce": nonce} {
			if _, named := answer[name]; named && !echoes(answer, name, asked) {
				return errors.New("the answer is to another question")
			}
		}
		return ErrRefused
	case "BAD_SIGNATURE", "NO_SUCH_CLIENT", "OPERATION_NOT_ALLOWED":
		return fmt.Errorf("status %s: compare client_id and key with what the server's operator gave you", status)
	}
	return fmt.Errorf("status %.40q", status) // BACKEND_ERROR, NOT_ENOUGH_ANSWERS, REPLAYED_REQUEST, and what is none
}

// echoes reports whether an answer names what was asked about.
func echoes(answer map[string]string, name, asked string) bool {
	return hmac.Equal([]byte(answer[name]), []byte(asked))
}

// parse reads lines of name=value, each name once. None holds &, which separates them
// where they are signed: two answers must not have one signature.
func parse(body string) (map[string]string, error) {
	answer := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if _, twice := answer[name]; !ok || twice || strings.Contains(line, "&") {
			return nil, errors.New("the answer is malformed")
		}
		answer[name] = value
	}
	if lines.Err() != nil {
		return nil, errors.New("the answer is malformed")
	}
	return answer, nil
}

// Sign is the signature of parameters: HMAC-SHA1 over name=value in the order of their
// names, joined by &, in base64 (section "Generating signatures"). SHA-1's collisions do
// not concern HMAC.
func Sign(key []byte, parameters map[string]string) string {
	return base64.StdEncoding.EncodeToString(sum(key, parameters))
}

func sum(key []byte, parameters map[string]string) []byte {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		pairs = append(pairs, name+"="+parameters[name])
	}
	mac := hmac.New(sha1.New, key)
	mac.Write([]byte(strings.Join(pairs, "&")))
	return mac.Sum(nil)
}
