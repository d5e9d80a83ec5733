// Go-service is a program behind a door of Sallyport, small enough to copy from: it
// fetches an access token with its current one-time token (OAuth 2.0 client
// credentials), calls a guarded URL with it, and asks about others' tokens.
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const usage = `usage: go-service -gateway URL -as NAME@REALM -seed-file FILE call URL
       go-service -gateway URL -as NAME@REALM -seed-file FILE ask NAME@REALM <TOKEN`

func main() {
	gateway := flag.String("gateway", "http://localhost:9091", "where Sallyport answers (its portal)")
	as := flag.String("as", "", "this service, NAME@REALM")
	seedFile := flag.String("seed-file", "", "its seed, as `sallyport service add --seed-file` writes it")
	flag.Usage = func() { fmt.Fprintln(os.Stderr, usage); flag.PrintDefaults() }
	flag.Parse()
	if flag.NArg() != 2 || *as == "" || *seedFile == "" {
		flag.Usage()
		os.Exit(2)
	}
	s := service{gateway: strings.TrimSuffix(*gateway, "/"), name: *as, seedFile: *seedFile}
	if err := s.run(context.Background(), flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, "go-service:", err)
		os.Exit(1)
	}
}

func (s service) run(ctx context.Context, verb, what string) error {
	// One client for the life of the program. It fetches an access token when it has
	// none, and another one before it is too old.
	client := oauth2.NewClient(ctx, oauth2.ReuseTokenSource(nil, s))
	client.Timeout = 30 * time.Second
	// The client sends the access token with every request, also to where an answer
	// redirects: an application would only have to name another host to get it.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	switch verb {
	case "call":
		return call(client, what)
	case "ask":
		return s.ask(client, what)
	}
	return errors.New("call or ask is expected")
}

// service is what a program knows of itself. It is an oauth2.TokenSource.
type service struct{ gateway, name, seedFile string }

// Token trades the one-time token of this moment for an access token. It works
// until it expires, or until the service is disabled, deleted or rotated.
func (s service) Token() (*oauth2.Token, error) {
	code, err := s.code(time.Now())
	if err != nil {
		return nil, err
	}
	c := clientcredentials.Config{ClientID: s.name, ClientSecret: code, TokenURL: s.gateway + "/sallyport/api/v1/token"}
	return c.Token(context.Background())
}

// code is the one-time token of a moment (RFC 6238: SHA1, 6 digits, 30 seconds). The
// file is read each time, so that a rotated seed is found there.
func (s service) code(at time.Time) (string, error) {
	text, err := os.ReadFile(s.seedFile)
	if err != nil {
		return "", err
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return "", fmt.Errorf("%s: a seed in base32 is expected", s.seedFile)
	}
	mac := hmac.New(sha1.New, seed)
	_ = binary.Write(mac, binary.BigEndian, at.Unix()/30) // a hash takes everything
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 15
	number := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%06d", number%1_000_000), nil
}

// call prints what a guarded URL answers.
func call(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}

// ask reads another service's token from standard input and prints whether it is
// good: what an application does with the token that a caller brought. It burns the
// token for all who ask, so each is good once.
func (s service) ask(client *http.Client, subject string) error {
	token, err := io.ReadAll(io.LimitReader(os.Stdin, 64))
	if err != nil {
		return err
	}
	at := strings.LastIndexByte(subject, '@')
	if at < 0 {
		return errors.New("NAME@REALM is expected")
	}
	body, err := json.Marshal(map[string]string{"name": subject[:at], "realm": subject[at+1:], "token": strings.TrimSpace(string(token))})
	if err != nil {
		return err
	}
	resp, err := client.Post(s.gateway+"/sallyport/api/v1/verify", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var verdict struct{ Status string }
	if err := json.NewDecoder(resp.Body).Decode(&verdict); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the question was answered %s", resp.Status)
	}
	if verdict.Status != "OK" { // one answer for unknown, disabled, wrong and seen before
		return fmt.Errorf("the token of %s is not good", subject)
	}
	fmt.Println("OK")
	return nil
}
