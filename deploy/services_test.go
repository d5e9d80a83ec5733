package deploy_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const botsHost = "bots.example.com"

// robot is a service, as a program beside the proxy has it: a name, and a file with
// its seed.
type robot struct {
	w        *world
	name     string // name@realm
	seedFile string
	person   // for codes of other moments
}

// robot makes a service with the command line, as an administrator does.
func (w *world) robot(t *testing.T, name string) robot {
	t.Helper()
	r := robot{w: w, name: name, seedFile: filepath.Join(t.TempDir(), "seed")}
	r.sallyport(t, "service", "add", name, "--seed-file", r.seedFile)
	seed, err := os.ReadFile(r.seedFile)
	if err != nil {
		t.Fatal(err)
	}
	r.secret = strings.TrimSpace(string(seed))
	return r
}

func (r robot) sallyport(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(binary, r.w.flags(args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sallyport %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// basic is the header of a caller who claims to be this service.
func (r robot) basic(token string) http.Header {
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth(r.name, token)
	return req.Header
}

// bots is a world with a host for programs alone.
func bots(t *testing.T, proxy string) *world {
	t.Helper()
	return kept(t, "services, "+proxy, proxy, setup{hosts: []string{botsHost}, rules: "  - {name: bots, hosts: [" + botsHost + "], services: [deploy@robots, loud@robots, leaked@robots]}\n"})
}

// Attack: a token of another realm, an old one, one of a seed that was rotated out
// after a leak, and a guess, each through a real proxy with the files of deploy/.
// And what is to pass: curl with `sallyport token`, word for word as the manual has
// it; the application sees who it is and not the token.
func TestServicesPassThroughTheProxies(t *testing.T) {
	for _, proxy := range proxyNames {
		t.Run(proxy, func(t *testing.T) {
			w := bots(t, proxy)
			deploy, other, leaked := w.robot(t, "deploy@robots"), w.robot(t, "deploy@machines"), w.robot(t, "leaked@robots")
			before := leaked.code(t, 0)
			leaked.sallyport(t, "service", "rotate", leaked.name, "--overlap", "0", "--seed-file", leaked.seedFile+".new")
			for what, header := range map[string]http.Header{
				"nothing":                {},
				"a token of machines":    deploy.basic(other.code(t, 0)),
				"machines' service":      other.basic(other.code(t, 0)),
				"an old token":           deploy.basic(deploy.code(t, -4)),
				"a rotated seed's token": leaked.basic(before),
				"somebody's Basic":       {"Authorization": {"Basic YTpi"}},
			} {
				a := w.get(t, botsHost, "/x", header)
				if a.status != 401 || a.app != nil {
					t.Errorf("%s: %d", what, a.status)
				}
				if challenge := strings.Join(a.header["Www-Authenticate"], ", "); !strings.Contains(challenge, "Basic realm=") {
					t.Errorf("%s: WWW-Authenticate %q", what, challenge)
				}
			}
			script := `curl --silent --show-error --fail --cacert "$CA" --resolve "$HOST:$PORT:127.0.0.1" -u "deploy@robots:$("$SALLYPORT" token --seed-file "$SEED")" "https://$HOST:$PORT/x"`
			curl := exec.Command("sh", "-c", script)
			curl.Env = append(os.Environ(), "CA="+certificate, "HOST="+botsHost, "PORT="+w.port, "SALLYPORT="+binary, "SEED="+deploy.seedFile)
			if out, err := curl.CombinedOutput(); err != nil || !bytes.Contains(out, []byte(`"deploy@robots"`)) {
				t.Errorf("curl: %v: %s", err, out)
			}
			header := deploy.basic(deploy.code(t, 0))
			header["Remote-User"], header["Cookie"] = []string{evil}, []string{"theme=dark"}
			a := w.get(t, botsHost, "/x", header)
			if a.app == nil {
				t.Fatalf("the service: %d %.300s", a.status, a.body)
			}
			for name, want := range map[string]string{"Remote-User": "deploy@robots", "Remote-Realm": "robots", "Authorization": "", "Cookie": "theme=dark"} {
				if got := a.app.one(name); got != want {
					t.Errorf("%s %q reached the application, want %q", name, got, want)
				}
			}
			if a := w.get(t, appHost, "/x", deploy.basic(deploy.code(t, 0))); a.status != 401 { // no service may pass there
				t.Errorf("where no service may pass: %d", a.status)
			}
		})
	}
}

// Attack: guesses at a service's token until one fits. The wait (after 100 in a day
// from where the service never was) arrives as 429 with
// Retry-After through each proxy, not as an error of the proxy.
func TestWrongTokensMeetAWaitThroughTheProxies(t *testing.T) {
	for _, proxy := range proxyNames {
		t.Run(proxy, func(t *testing.T) {
			w := bots(t, proxy)
			loud := w.robot(t, "loud@robots")
			wrong := 0
			for ; wrong < 110; wrong++ {
				a := w.get(t, botsHost, "/x", loud.basic("0"))
				if a.app != nil {
					t.Fatal("a guess of one digit passed")
				}
				if a.status == 429 {
					if a.header.Get("Retry-After") == "" {
						t.Error("429 without Retry-After")
					}
					break
				}
				if a.status != 401 {
					t.Fatalf("wrong token %d: %d", wrong, a.status)
				}
			}
			if wrong != 100 {
				t.Errorf("a wait after %d wrong tokens, want 100", wrong)
			}
		})
	}
}
