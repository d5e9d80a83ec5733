package command

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// maxUnixPath is what every kernel takes, in bytes (sun_path holds 104 on BSD,
// 108 on Linux, with a NUL).
const maxUnixPath = 103

// ListenAddress reads where a server is to listen: host:port (an empty host is
// every interface), or unix:PATH. Errors are sentences without the text, which
// a configuration shares with secrets.
func ListenAddress(text string) error {
	wrong := errors.New("expected HOST:PORT, such as 127.0.0.1:9091, or unix:PATH")
	if path, isUnix := strings.CutPrefix(text, "unix:"); isUnix {
		switch {
		case path == "":
			return wrong
		case len(path) > maxUnixPath:
			return fmt.Errorf("the path of a unix socket has at most %d bytes", maxUnixPath)
		}
		return nil
	}
	_, port, err := net.SplitHostPort(text)
	if err != nil || port == "" {
		return wrong
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return wrong
	}
	return nil
}

// UpstreamURL reads the address of the one site behind a server.
func UpstreamURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("expected http://HOST:PORT or https://HOST, without a path")
	}
	return u, nil
}

// check refuses addresses that cannot be, before anything is opened.
func (f *ServeFlags) check() error {
	if f.Listen != "" {
		if err := ListenAddress(f.Listen); err != nil {
			return usage("--listen: %v", err)
		}
	}
	if f.Upstream == "" {
		return nil
	}
	if _, err := UpstreamURL(f.Upstream); err != nil {
		if _, plain := UpstreamURL("http://" + f.Upstream); plain == nil {
			return usage("--upstream: expected http://%s", f.Upstream)
		}
		return usage("--upstream: %v", err)
	}
	return nil
}
