// Package deploy holds the files that users copy into their proxies, and fits
// them to a configuration. The files name example values (the portal
// auth.example.com, the application app.example.com at 127.0.0.1:3000, the
// gateway at 127.0.0.1:9091); Files puts others in their place and changes
// nothing else, so what is printed is what is tested.
//
// Nothing here reads a configuration or a network: it is text.
package deploy

import (
	"embed"
	"errors"
	"fmt"
	"net"
	"path"
	"regexp"
	"slices"
	"strings"
)

//go:embed nginx haproxy caddy-forward-auth traefik envoy
var tree embed.FS

// Site is what a proxy's files are fitted to. The zero Site is the examples' own.
type Site struct {
	// Scheme and Port are those by which browsers reach the proxy. Default:
	// https, and the scheme's own port.
	Scheme, Port string
	// Portal is the host of the login pages; empty: each guarded host has
	// pages of its own.
	Portal string
	// Hosts are guarded: names, or *.domain. Default: app.example.com.
	Hosts []string
	// Gateway is where Sallyport listens, host:port or unix:PATH. Default:
	// 127.0.0.1:9091.
	Gateway string
	// Application is the upstream, host:port. Default: 127.0.0.1:3000.
	Application string
	// Certificate and Key are PEM files. Default: the proxy's usual places, and
	// with Caddy none, because it gets its own. HAProxy wants both in one file,
	// Certificate.
	Certificate, Key string
	// Dir is where the proxy's files lie. Default: /etc/nginx and so on.
	Dir string
}

// File is one file of a proxy's configuration.
type File struct {
	Path string `json:"path"` // where it belongs
	Text string `json:"text"`
}

// ErrUnix: this proxy asks over TCP only.
var ErrUnix = errors.New("this proxy cannot ask over a unix socket")

// proxy is what the files of one proxy are called, and how they are fitted.
type proxy struct {
	name  string
	dir   string // where its files usually lie
	files [][2]string
	fit   func(text string, s *Site) (string, error)
}

func proxies() []proxy {
	return []proxy{
		{"nginx", "/etc/nginx", [][2]string{
			{"nginx/conf.d/sallyport.conf", "conf.d/sallyport.conf"}, {"nginx/sallyport/server.conf", "sallyport/server.conf"},
			{"nginx/sallyport/headers.conf", "sallyport/headers.conf"}, {"nginx/sallyport/pages.conf", "sallyport/pages.conf"},
			{"nginx/sallyport/fastcgi.conf", "sallyport/fastcgi.conf"}, {"nginx/conf.d/app.conf", "conf.d/app.conf"},
		}, fitNginx},
		{"traefik", "/etc/traefik", [][2]string{{"traefik/dynamic.yml", "dynamic.yml"}, {"traefik/compose.yml", "compose.yml"}}, fitTraefik},
		{"caddy", "/etc/caddy", [][2]string{{"caddy-forward-auth/Caddyfile", "Caddyfile"}}, fitCaddy},
		{"haproxy", "/etc/haproxy", [][2]string{{"haproxy/haproxy.cfg", "haproxy.cfg"}, {"haproxy/sallyport.lua", "sallyport.lua"}}, fitHAProxy},
		{"envoy", "/etc/envoy", [][2]string{{"envoy/envoy.yaml", "envoy.yaml"}}, fitEnvoy},
	}
}

// Proxies names the proxies that Files knows.
func Proxies() []string {
	var names []string
	for _, p := range proxies() {
		names = append(names, p.name)
	}
	return names
}

// Files returns the files of a proxy, fitted to s. Errors: ErrUnix where the
// gateway listens on a unix socket and the proxy cannot reach it; others where
// the proxy is unknown or a value could change the meaning of the file.
func Files(name string, s Site) ([]File, error) {
	all := proxies()
	at := slices.IndexFunc(all, func(p proxy) bool { return p.name == name })
	if at < 0 {
		return nil, fmt.Errorf("unknown proxy %q", name)
	}
	p := &all[at]
	if s.Dir == "" {
		s.Dir = p.dir
	}
	if err := s.complete(); err != nil {
		return nil, err
	}
	var files []File
	for _, f := range p.files {
		text, err := tree.ReadFile(f[0])
		if err != nil {
			return nil, err
		}
		fitted, err := p.fit(string(text), &s)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: path.Join(s.Dir, f[1]), Text: fitted})
	}
	return files, nil
}

// plainValue reports whether a value may stand in any of the files without quotes,
// and means nothing else there.
func plainValue(v string) bool {
	return !strings.ContainsFunc(v, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_./:*[]@-", r))
	})
}

func (s *Site) complete() error {
	if s.Scheme == "" {
		s.Scheme = "https"
	}
	if s.Port == "" {
		s.Port = map[string]string{"https": "443", "http": "80"}[s.Scheme]
	}
	if s.Gateway == "" {
		s.Gateway = exampleGateway
	}
	if s.Application == "" {
		s.Application = exampleApplication
	}
	if len(s.Hosts) == 0 {
		s.Hosts = []string{exampleHost}
	}
	for _, v := range append([]string{s.Scheme, s.Port, s.Portal, s.Gateway, s.Application, s.Certificate, s.Key, s.Dir}, s.Hosts...) {
		if !plainValue(v) {
			return fmt.Errorf("%q cannot stand in a proxy's configuration", v)
		}
	}
	return nil
}

// The values that the files have.
const (
	examplePortal      = "auth.example.com"
	exampleHost        = "app.example.com"
	exampleGateway     = "127.0.0.1:9091"
	exampleApplication = "127.0.0.1:3000"
)

func (s *Site) socket() (string, bool) { return strings.CutPrefix(s.Gateway, "unix:") }

// usualPort reports whether a browser leaves the port out.
func (s *Site) usualPort() bool {
	return s.Scheme == "https" && s.Port == "443" || s.Scheme == "http" && s.Port == "80"
}

// plain is a host as certificates' files are called: that of *.example.com is
// example.com's.
func plain(host string) string { return strings.TrimPrefix(host, "*.") }

func fitNginx(text string, s *Site) (string, error) {
	if s.Portal == "" {
		text = cut(text, "\n# The portal: ", "")
	}
	if s.Scheme == "http" {
		text = without(text, "\tssl_certificate")
		text = strings.ReplaceAll(text, "listen 443 ssl http2;", "listen "+s.Port+";")
	}
	if s.Certificate != "" {
		text = regexp.MustCompile(`ssl_certificate \S+;`).ReplaceAllLiteralString(text, "ssl_certificate "+s.Certificate+";")
		text = regexp.MustCompile(`ssl_certificate_key \S+;`).ReplaceAllLiteralString(text, "ssl_certificate_key "+s.Key+";")
	}
	// A server block for each host: each has a certificate and an application.
	if head, block, ok := strings.Cut(text, "\nserver {\n"); ok && strings.Contains(block, "server_name "+exampleHost) {
		text = head
		for _, host := range s.Hosts {
			text += "\nserver {\n" + strings.NewReplacer("server_name "+exampleHost, "server_name "+host, exampleHost, plain(host)).Replace(block)
		}
	}
	return strings.NewReplacer(
		"listen 443 ", "listen "+s.Port+" ",
		"server_name "+examplePortal, "server_name "+s.Portal,
		examplePortal, s.Portal,
		exampleGateway, s.Gateway, exampleApplication, s.Application,
		"/etc/nginx", s.Dir,
	).Replace(text), nil
}

func fitHAProxy(text string, s *Site) (string, error) {
	if s.Portal == "" {
		text = without(text, "\tacl sallyport_portal")
		text = strings.NewReplacer(" !sallyport_portal", "", " or sallyport_portal", "").Replace(text)
	}
	bind := "bind :443 ssl crt /etc/haproxy/certs/ alpn h2,http/1.1"
	ours := "bind :" + s.Port
	if s.Scheme == "https" {
		certificate := s.Dir + "/certs/"
		if s.Certificate != "" {
			certificate = s.Certificate
		}
		ours += " ssl crt " + certificate + " alpn h2,http/1.1"
	}
	address, server := "ipv4@"+s.Gateway, s.Gateway
	if strings.HasPrefix(s.Gateway, "[") {
		address = "ipv6@" + s.Gateway
	}
	if socket, ok := s.socket(); ok {
		address, server = "unix@"+socket, "unix@"+socket
	}
	return strings.NewReplacer(
		bind, ours, "ipv4@"+exampleGateway, address, "gateway "+exampleGateway, "gateway "+server,
		examplePortal, s.Portal, exampleApplication, s.Application, "/etc/haproxy", s.Dir,
	).Replace(text), nil
}

func fitCaddy(text string, s *Site) (string, error) {
	if s.Portal == "" {
		text = cut(text, "# The portal: ", "# The application.")
	}
	address := func(host string) string {
		if s.Scheme == "http" {
			host = "http://" + host
		}
		if !s.usualPort() {
			host += ":" + s.Port
		}
		return host
	}
	var hosts []string
	for _, h := range s.Hosts {
		hosts = append(hosts, address(h))
	}
	tls := ""
	if s.Certificate != "" && s.Scheme == "https" {
		tls = "\n\ttls " + s.Certificate + " " + s.Key
	}
	gateway := s.Gateway
	if socket, ok := s.socket(); ok {
		gateway = "unix/" + socket
	}
	return strings.NewReplacer(
		"\n"+examplePortal+" {", "\n"+address(s.Portal)+" {"+tls,
		"\n"+exampleHost+" {", "\n"+strings.Join(hosts, ", ")+" {"+tls,
		exampleGateway, gateway, exampleApplication, s.Application,
	).Replace(text), nil
}

func fitTraefik(text string, s *Site) (string, error) {
	if _, ok := s.socket(); ok {
		return "", ErrUnix
	}
	if s.Portal == "" {
		text = cut(text, "    # The portal: ", "    # Sallyport's own")
		text = without(text, `      - "traefik.http.routers.sallyport-portal`)
	}
	if s.Scheme == "http" {
		text = without(text, "      tls: {}")
		for _, router := range []string{"sallyport-portal", "app-sallyport", "app"} {
			text = without(text, `      - "traefik.http.routers.`+router+".tls=")
		}
		text = strings.ReplaceAll(text, "websecure", "web")
	}
	var hosts []string
	for _, h := range s.Hosts {
		if rest, ok := strings.CutPrefix(h, "*."); ok {
			hosts = append(hosts, "HostRegexp(`^.+[.]"+strings.ReplaceAll(rest, ".", "[.]")+"$`)")
		} else {
			hosts = append(hosts, "Host(`"+h+"`)")
		}
	}
	inLabels := strings.ReplaceAll(strings.Join(hosts, " || "), "$", "$$") // Compose reads $ as a variable
	each := strings.Join(hosts, " || ")
	if strings.Contains(text, "\n    labels:") {
		each = inLabels
	}
	_, port, err := net.SplitHostPort(s.Gateway)
	if err != nil {
		return "", fmt.Errorf("gateway: %w", err)
	}
	_, upstream, err := net.SplitHostPort(s.Application)
	if err != nil {
		return "", fmt.Errorf("application: %w", err)
	}
	return strings.NewReplacer(
		"Host(`"+exampleHost+"`)", each, examplePortal, s.Portal,
		"http://"+exampleGateway, "http://"+s.Gateway, "http://"+exampleApplication, "http://"+s.Application,
		"sallyport:9091", "sallyport:"+port, "0.0.0.0:9091", "0.0.0.0:"+port, "port=9091", "port="+port, "port=3000", "port="+upstream,
	).Replace(text), nil
}

func fitEnvoy(text string, s *Site) (string, error) {
	if s.Portal == "" {
		text = cut(text, "                    # The portal: ", "                    # The application, and")
		text = strings.Replace(text, "typed_per_filter_config: *unasked", "typed_per_filter_config: &unasked\n"+
			"                           {envoy.filters.http.ext_authz: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, disabled: true}}", 1)
	}
	if s.Scheme == "http" {
		text = cut(text, "        - transport_socket:", "          filters:")
		text = strings.Replace(text, "          filters:", "        - filters:", 1)
	}
	if s.Certificate != "" {
		text = strings.NewReplacer("/etc/envoy/tls.pem", s.Certificate, "/etc/envoy/tls.key", s.Key).Replace(text)
	}
	var domains []string
	for _, h := range s.Hosts {
		domains = append(domains, `"`+h+`"`)
		if !strings.HasPrefix(h, "*") { // a pattern has one asterisk
			domains = append(domains, `"`+h+`:*"`)
		}
	}
	gateway, err := envoyAddress(s.Gateway)
	if err != nil {
		return "", err
	}
	application, err := envoyAddress(s.Application)
	if err != nil {
		return "", err
	}
	uri := s.Gateway
	if _, ok := s.socket(); ok {
		uri = "sallyport"
	}
	return strings.NewReplacer(
		`domains: ["`+exampleHost+`", "`+exampleHost+`:*"]`, "domains: ["+strings.Join(domains, ", ")+"]",
		examplePortal, s.Portal, "port_value: 443", "port_value: "+s.Port,
		"{socket_address: {address: \"127.0.0.1\", port_value: 9091}}", gateway,
		"{socket_address: {address: \"127.0.0.1\", port_value: 3000}}", application,
		"http://"+exampleGateway, "http://"+uri, "/etc/envoy", s.Dir,
	).Replace(text), nil
}

func envoyAddress(address string) (string, error) {
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		return "{pipe: {path: " + socket + "}}", nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("{socket_address: {address: %q, port_value: %s}}", host, port), nil
}

// cut removes what stands from one text up to another; to "" means the end.
func cut(text, from, to string) string {
	before, rest, ok := strings.Cut(text, from)
	if !ok {
		return text
	}
	if to == "" {
		return before
	}
	_, after, _ := strings.Cut(rest, to)
	return before + to + after
}

// without removes the lines that begin so.
func without(text, prefix string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, prefix) {
			out.WriteString(line)
		}
	}
	return out.String()
}
