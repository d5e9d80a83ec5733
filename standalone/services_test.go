package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// robots is a server before an application that says who is calling, and what it
// was told about it; services of the realm robots may pass.
func robots(t *testing.T) *server {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "you are %s of %s, authorization %q\n", r.Header.Get("Remote-User"), r.Header.Get("Remote-Realm"), r.Header.Get("Authorization"))
	}))
	t.Cleanup(app.Close)
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(config, []byte("upstream: "+app.URL+"\nrules:\n  - {services: [\"@robots\"]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return serveBinary(t, t.TempDir(), "--config", config)
}

// sallyport runs a command beside the server; stdin may be empty.
func (s *server) sallyport(stdin string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := exec.Command(plain, slices.Concat(s.state, args)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	cmd.Env = append(os.Environ(), "SALLYPORT_STATE=", "SALLYPORT_CONFIG=")
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must is sallyport, and has to be done.
func (s *server) must(args ...string) string {
	s.t.Helper()
	out, errs, code := s.sallyport("", args...)
	if code != 0 {
		s.t.Fatalf("sallyport %v: exit code %d: %s", args, code, errs)
	}
	return strings.TrimSpace(out)
}

// robot makes a service and returns the file with its seed.
func (s *server) robot(name string) (seedFile string) {
	s.t.Helper()
	seedFile = filepath.Join(s.t.TempDir(), "seed")
	s.must("service", "add", name, "--seed-file", seedFile)
	return seedFile
}

// A standard OAuth 2.0 client, as it is: in all three of its styles it gets an
// access token, which opens a guarded route and the API; and it is refused in the
// words of OAuth, when its secret is a token of another realm.
func TestStandardOAuthClient(t *testing.T) {
	s := robots(t)
	seed, other := s.robot("deploy@robots"), s.robot("deploy@machines")
	s.must("realm", "set", "helpdesk", "--capabilities", "list:robots")
	desk := s.robot("desk@helpdesk")
	client := func(name, seedFile string, style oauth2.AuthStyle) *http.Client {
		config := clientcredentials.Config{ClientID: name, ClientSecret: s.must("token", "--seed-file", seedFile), TokenURL: s.base + "/sallyport/api/v1/token", AuthStyle: style}
		return config.Client(context.Background())
	}
	for what, style := range map[string]oauth2.AuthStyle{"detected": oauth2.AuthStyleAutoDetect, "in the body": oauth2.AuthStyleInParams, "in the header": oauth2.AuthStyleInHeader} {
		t.Run(what, func(t *testing.T) {
			resp, err := client("deploy@robots", seed, style).Get(s.base + "/x")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || string(body) != "you are deploy@robots of robots, authorization \"\"\n" {
				t.Errorf("the guarded route: %d %s %v", resp.StatusCode, body, err)
			}
			status, answer := call(t, client("desk@helpdesk", desk, style), "GET", s.base+"/sallyport/api/v1/services?realm=robots", nil, nil)
			if list, _ := answer["services"].([]any); status != 200 || len(list) != 1 {
				t.Errorf("the API: %d %v", status, answer)
			}
			_, err = client("deploy@robots", other, style).Get(s.base + "/x")
			var refused *oauth2.RetrieveError
			if !errors.As(err, &refused) || refused.Response.StatusCode != 401 || refused.ErrorCode != "invalid_client" {
				t.Errorf("a token of machines as the secret: %v", err)
			}
		})
	}
}

// The programs of examples/, as their pages say to run them.
func TestExamplesRun(t *testing.T) {
	s := robots(t)
	deploy, checker := s.robot("deploy@robots"), s.robot("checker@auth")
	program := filepath.Join(t.TempDir(), "go-service")
	if out, err := exec.Command("go", "build", "-o", program, "../examples/go-service").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	run := func(stdin string, args ...string) (string, error) {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(plain)+string(os.PathListSeparator)+os.Getenv("PATH"))
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	const welcome = `you are deploy@robots of robots, authorization ""`
	for what, args := range map[string][]string{
		"go":    {program, "-gateway", s.base, "-as", "deploy@robots", "-seed-file", deploy, "call", s.base + "/x"},
		"shell": {"../examples/shell/call.sh", "deploy@robots", deploy, s.base + "/x"},
	} {
		if out, err := run("", args...); err != nil || out != welcome {
			t.Errorf("%s: %v: %s", what, err, out)
		}
	}
	if out, err := run("", "../examples/shell/call.sh", "deploy@robots", checker, s.base+"/x"); err == nil || !strings.Contains(out, "401") {
		t.Errorf("another's seed: %v: %s", err, out)
	}
	token := s.must("token", "--seed-file", deploy)
	ask := []string{program, "-gateway", s.base, "-as", "checker@auth", "-seed-file", checker, "ask", "deploy@robots"}
	if out, err := run(token, ask...); err != nil || out != "OK" {
		t.Errorf("go asks: %v: %s", err, out)
	}
	if out, err := run(token, ask...); err == nil || !strings.Contains(out, "is not good") {
		t.Errorf("go asks again: %v: %s", err, out)
	}
	other := s.robot("build@robots")
	shell := []string{"../examples/shell/ask.sh", "build@robots", s.base, "checker@auth", checker}
	token = s.must("token", "--seed-file", other)
	if out, err := run(token, shell...); err != nil || out != "build@robots is who it says it is" {
		t.Errorf("shell asks: %v: %s", err, out)
	}
	if out, err := run(token, shell...); err == nil || !strings.Contains(out, "not good") {
		t.Errorf("shell asks again: %v: %s", err, out)
	}
}

// Attack: somebody on the way answers in the gateway's place, with a certificate
// that nobody vouches for: OK to every token. The command line believes only a
// server that proves its name.
func TestVerifyAsksOnlyAServerThatProvesItsName(t *testing.T) {
	s := robots(t)
	deploy, checker := s.robot("deploy@robots"), s.robot("checker@auth")
	to, err := url.Parse(s.base)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(to))
	front.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // one handshake fails, and should
	front.StartTLS()
	t.Cleanup(front.Close)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, trusted := range []bool{false, true} {
		cmd := exec.Command(plain, "verify", "deploy@robots", "--server", front.URL, "--as", "checker@auth", "--seed-file", checker, "--json")
		cmd.Stdin = strings.NewReader(s.must("token", "--seed-file", deploy))
		cmd.Env = os.Environ()
		if trusted {
			cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+authority)
		}
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		var verdict struct{ Status string }
		switch {
		case !trusted && (err == nil || cmd.ProcessState.ExitCode() != 1 || out.Len() > 0 || !strings.Contains(errs.String(), "certificate")):
			t.Errorf("a certificate that nobody vouches for: %v %s %s", err, out.String(), errs.String())
		case trusted && (err != nil || json.Unmarshal(out.Bytes(), &verdict) != nil || verdict.Status != "OK"):
			t.Errorf("a server that proves its name: %v %s %s", err, out.String(), errs.String())
		}
	}
}

// A service that is switched off on the command line is out within the 5 seconds
// that the manual promises: its stream through the standalone proxy too.
func TestStreamOfAServiceEndsWhenItIsDisabled(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "event")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(func() { app.CloseClientConnections(); app.Close() })
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(config, []byte("upstream: "+app.URL+"\nrules: [{services: ['@robots']}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveBinary(t, t.TempDir(), "--config", config)
	for what, args := range map[string][]string{"disabled": {"disable"}, "deleted": {"delete"}, "rotated": {"rotate"}} {
		name := what + "@robots"
		seed := s.robot(name)
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.base+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(name, s.must("token", "--seed-file", seed))
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %v %v", what, resp, err)
		}
		s.must(append(append([]string{"service"}, args...), name)...)
		began := time.Now()
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: the stream went on for %v", what, took)
		}
	}
}
