package deploy_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/sallyport-auth/sallyport/deploy"
)

// sites are the configurations that the files are fitted to.
func sites() map[string]deploy.Site {
	return map[string]deploy.Site{
		"example":    {Portal: portalHost},
		"own names":  {Portal: "login.corp.example", Hosts: []string{"a.corp.example", "b.corp.example", "*.corp.example"}, Gateway: "127.0.0.1:7001", Application: "127.0.0.1:7002"},
		"http":       {Scheme: "http", Port: "8085", Portal: portalHost, Hosts: []string{appHost}},
		"port":       {Port: "8443", Portal: portalHost},
		"no portal":  {Hosts: []string{appHost}},
		"unix":       {Portal: portalHost, Gateway: "unix:/run/sallyport/sallyport.sock"},
		"IPv6":       {Portal: portalHost, Gateway: "[::1]:9091"},
		"http alone": {Scheme: "http", Hosts: []string{appHost}},
	}
}

// Every fitted file is one that the proxy itself takes, names what it should and
// nothing of the example that is not meant.
func TestFilesAreGoodForEveryConfiguration(t *testing.T) {
	for name, site := range sites() {
		for _, proxy := range deploy.Proxies() {
			t.Run(name+"/"+proxy, func(t *testing.T) {
				site := site
				site.Dir = t.TempDir()
				if slices.Contains(proxyNames, proxy) {
					site.Certificate, site.Key = certificate, certificate
				}
				files, err := deploy.Files(proxy, site)
				if proxy == "traefik" && strings.HasPrefix(site.Gateway, "unix:") {
					if !errors.Is(err, deploy.ErrUnix) {
						t.Fatalf("%v, want %v", err, deploy.ErrUnix)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				var whole strings.Builder
				for _, f := range files {
					whole.WriteString(f.Text)
					if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(f.Path, []byte(f.Text), 0o644); err != nil {
						t.Fatal(err)
					}
					if strings.HasSuffix(f.Path, ".yml") || strings.HasSuffix(f.Path, ".yaml") {
						var v map[string]any
						if err := yaml.Unmarshal([]byte(f.Text), &v); err != nil {
							t.Errorf("%s: %v", f.Path, err)
						}
					}
				}
				text := whole.String()
				for _, host := range site.Hosts {
					if proxy != "haproxy" && !strings.Contains(text, strings.TrimPrefix(host, "*.")) && !strings.Contains(text, strings.ReplaceAll(strings.TrimPrefix(host, "*."), ".", "[.]")) {
						t.Errorf("%s is not there", host)
					}
				}
				if (site.Portal != portalHost) == strings.Contains(text, portalHost) {
					t.Errorf("the portal is %q, and the example's stands there: %v", site.Portal, !strings.Contains(text, portalHost))
				}
				if site.Scheme == "http" && (strings.Contains(text, "listen 443") || strings.Contains(text, "websecure") || strings.Contains(text, "alpn")) {
					t.Error("http, and TLS is there")
				}
				if site.Gateway != "" && strings.Contains(text, "127.0.0.1:9091") && !strings.Contains(text, "`setenv SALLYPORT") && proxy != "traefik" {
					t.Error("the example's gateway is still there")
				}
				takenBy(t, proxy, site.Dir)
			})
		}
	}
}

// takenBy asks the proxy itself whether it takes its files.
func takenBy(t *testing.T, proxy, dir string) {
	t.Helper()
	var cmd *exec.Cmd
	switch proxy {
	case "nginx":
		path, err := program("nginx", "nginx-light")
		if err != nil {
			t.Fatal(err)
		}
		main := "pid " + dir + "/pid;\nevents {}\nhttp { include conf.d/*.conf; }\n"
		if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(main), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd = exec.Command(path, "-t", "-q", "-e", "stderr", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	case "haproxy":
		path, err := program("haproxy", "haproxy")
		if err != nil {
			t.Fatal(err)
		}
		cmd = exec.Command(path, "-c", "-f", filepath.Join(dir, "haproxy.cfg"))
	case "caddy":
		path, err := caddyBinary()
		if err != nil {
			t.Fatal(err)
		}
		cmd = exec.Command(path, "validate", "--adapter", "caddyfile", "--config", filepath.Join(dir, "Caddyfile"))
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	default:
		return
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if proxy == "haproxy" && strings.Contains(string(out), "WARNING") || proxy == "nginx" && strings.Contains(string(out), "warn") {
		t.Errorf("it warns:\n%s", out)
	}
}

// What stands in a configuration must not become configuration of the proxy.
func TestFilesRefuseWhatIsNoName(t *testing.T) {
	for _, site := range []deploy.Site{
		{Portal: "a;b"}, {Hosts: []string{"a b"}}, {Hosts: []string{"a\nb"}}, {Gateway: "127.0.0.1:1\n}"}, {Application: "`x`"}, {Gateway: "unix:/a b"}, {Portal: "{env.X}"}, {Hosts: []string{"a#b"}},
	} {
		for _, proxy := range deploy.Proxies() {
			if files, err := deploy.Files(proxy, site); err == nil {
				t.Errorf("%s %+v: %d files", proxy, site, len(files))
			}
		}
	}
	if _, err := deploy.Files("apache", deploy.Site{}); err == nil {
		t.Error("apache is unknown")
	}
}

// The example's own values change nothing: what is printed is what lies here.
func TestFilesAreTheFiles(t *testing.T) {
	folders := map[string]string{"caddy": "caddy-forward-auth"}
	for _, proxy := range deploy.Proxies() {
		folder := proxy
		if f, ok := folders[proxy]; ok {
			folder = f
		}
		var want []string
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			want = append(want, string(text))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		files, err := deploy.Files(proxy, deploy.Site{Portal: portalHost})
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != len(want) {
			t.Errorf("%s: %d files, %d lie there", proxy, len(files), len(want))
		}
		for _, f := range files {
			if !slices.Contains(want, f.Text) {
				t.Errorf("%s differs from the file", f.Path)
			}
		}
	}
}
