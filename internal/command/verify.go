package command

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/spf13/cobra"
)

// errNotGood is the answer FAIL: it was printed, and the exit code says it too.
var errNotGood = errors.New("the token is not good")

// askTime bounds a question to a server elsewhere.
const askTime = 30 * time.Second

// verifyFlags say whom to ask, and as whom.
type verifyFlags struct {
	server, as, seedFile string
	plain, asJSON        bool
}

// verify asks whether a token is good. Without --server the local administrator asks.
func (l *line) verify() *cobra.Command {
	var flags verifyFlags
	cmd := &cobra.Command{
		Use:   "verify NAME@REALM",
		Short: "Ask a server whether a service's token is good, and burn it for all who ask",
		Long: "Ask whether a service's token, or a user's code, is good, and burn it for all who\n" +
			"ask. It is read from standard input, or asked for on a terminal. Prints OK or\n" +
			"FAIL; the exit code is 0 for OK and 1 for all else. The running server of this\n" +
			"machine is asked, or its state; with --server another one, as a service whose\n" +
			"realm may authenticate.",
		Example: "  echo 123456 | sallyport verify deploy@robots\n" +
			"  echo 123456 | sallyport verify deploy@robots --server https://auth.example.com --as checker@auth --seed-file checker.seed",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := serviceRef(args[0])
			if err != nil {
				return err
			}
			if flags.server == "" {
				if flags.as != "" || flags.seedFile != "" || flags.plain {
					return usage("--as, --seed-file and --insecure-http say how to ask another server: name it with --server")
				}
				token, err := readToken(cmd, ref)
				if err != nil {
					return err
				}
				return l.with(cmd.Context(), func(c *client) error { return c.verify(cmd, ref, token, flags.asJSON) })
			}
			elsewhere, err := flags.elsewhere(cmd)
			if err != nil {
				return err
			}
			token, err := readToken(cmd, ref)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), askTime)
			defer cancel()
			return (&client{ctx: ctx, http: elsewhere}).verify(cmd, ref, token, flags.asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.server, "server", "", "ask the server at this `URL`, such as https://auth.example.com")
	f.StringVar(&flags.as, "as", "", "with --server: ask as this service, `name@realm`")
	f.StringVar(&flags.seedFile, "seed-file", "", "with --server: read the seed of --as from this `file`")
	f.BoolVar(&flags.plain, "insecure-http", false, "with --server: allow http:// to another machine, where everybody on the way reads the tokens")
	jsonFlag(cmd, &flags.asJSON)
	return cmd
}

func (c *client) verify(cmd *cobra.Command, ref principal.Ref, token string, asJSON bool) error {
	var verdict struct {
		Status string `json:"status"`
	}
	body := map[string]string{"name": ref.Name, "realm": ref.Realm, "token": token}
	if err := c.call(http.MethodPost, "/verify", body, &verdict); err != nil {
		return err
	}
	if verdict.Status != "OK" { // whatever else a server of another version says is no yes
		verdict.Status = "FAIL"
	}
	var err error
	if asJSON {
		err = document(cmd.OutOrStdout(), verdict)
	} else {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), verdict.Status)
	}
	if err == nil && verdict.Status != "OK" {
		return errNotGood
	}
	return err
}

// readToken reads a token from the person at the terminal, or from standard input.
// Nothing is open meanwhile: a store is not locked while somebody types.
func readToken(cmd *cobra.Command, of principal.Ref) (token string, err error) {
	if fd, person := terminal(cmd); person {
		token, err = ask(cmd, fd, "Token of "+called(of)+": ")
	} else {
		token, err = readSecret(cmd.Context(), cmd.InOrStdin(), "standard input")
	}
	if token = strings.TrimSpace(token); err == nil && token == "" {
		err = errors.New("there is no token: type it at the prompt of a terminal, or give it on standard input")
	}
	return token, err
}

// elsewhere asks another server, as a service.
func (f *verifyFlags) elsewhere(cmd *cobra.Command) (*remote, error) {
	base, err := f.base()
	if err != nil {
		return nil, err
	}
	if f.as == "" || f.seedFile == "" {
		return nil, usage("--server wants to know who asks: name a service with --as NAME@REALM, and its seed with --seed-file FILE")
	}
	caller, err := serviceRef(f.as)
	if err != nil {
		return nil, fmt.Errorf("--as: %w", err)
	}
	text, err := seedText(cmd, f.seedFile)
	if err != nil {
		return nil, err
	}
	return &remote{base: base, caller: caller.String(), seed: text}, nil
}

// base reads --server. Over plain HTTP whoever is on the way reads both tokens, and
// may answer in the server's place.
func (f *verifyFlags) base() (*url.URL, error) {
	u, err := UpstreamURL(f.server)
	if err != nil {
		return nil, usage("--server: %v", err)
	}
	if u.Scheme == "https" || f.plain {
		return u, nil
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Hostname() == "localhost" || err == nil && ip.Unmap().IsLoopback() {
		return u, nil
	}
	return nil, usage("--server: expected https:// (http:// to another machine shows everybody on the way the tokens; --insecure-http allows it)")
}

// remote carries the API's calls to a server elsewhere, each with the caller's
// current token. It follows no redirect: that would give the token to somebody else.
type remote struct {
	base         *url.URL
	caller, seed string
}

func (r *remote) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := currentCode(r.seed, time.Now())
	if err != nil {
		return nil, fmt.Errorf("make the token of %s: %w", r.caller, err)
	}
	req = req.Clone(req.Context())
	req.URL.Scheme, req.URL.Host, req.Host = r.base.Scheme, r.base.Host, r.base.Host
	req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(r.caller+":"+token)))
	return http.DefaultTransport.RoundTrip(req)
}
