package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/web"
)

// App holds the configuration that all routes share, and the open gateway. All of
// it is optional: without it there are two realms, users and admin, login pages on
// each guarded host, and the state lives in Caddy's data directory.
//
// Its words are those of the standalone server's configuration, except `listen`,
// `upstream`, `log` and `metrics`, for which Caddy has its own. Strings may hold
// {env.NAME} and {file.PATH}, which are read when the configuration is loaded.
// `rules` decide for other proxies that ask /sallyport/authz/; routes inside this
// Caddy bring rules of their own (see Handler).
type App struct {
	gateway.Config

	raw     json.RawMessage
	log     *slog.Logger
	shared  *shared // set while this configuration holds the state
	gateway *gateway.Gateway
	base    atomic.Pointer[string] // where people find the pages, once that is known
	http    func() (*caddyhttp.App, error)
}

// CaddyModule returns the module's registration.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sallyport", New: func() caddy.Module { return new(App) }}
}

// UnmarshalJSON keeps the configuration as it came. Provision reads it, because
// placeholders are read then.
func (a *App) UnmarshalJSON(text []byte) error {
	a.raw = slices.Clone(text)
	return nil
}

// MarshalJSON writes what UnmarshalJSON read.
func (a *App) MarshalJSON() ([]byte, error) {
	if a.raw == nil {
		return []byte("{}"), nil
	}
	return a.raw, nil
}

// Provision understands the configuration, opens the state or shares the one that
// is open, and builds the gateway.
func (a *App) Provision(ctx caddy.Context) error {
	cfg, err := gateway.Decode(gateway.Source{JSON: a.raw, Expand: true})
	if err != nil {
		return err
	}
	if cfg.Storage == "" {
		cfg.Storage = "badger:" + defaultStateDir()
	}
	a.Config, a.log = cfg, ctx.Slogger()
	a.http = func() (*caddyhttp.App, error) {
		app, err := ctx.AppIfConfigured("http")
		if err != nil {
			return nil, err
		}
		return app.(*caddyhttp.App), nil
	}
	if err := cfg.Validate(true); err != nil {
		return err
	}
	o := gateway.Options{Routes: true, Version: version(), Logger: a.log, Client: client, Scheme: scheme, Base: a.where}
	so, err := cfg.StateOptions(o)
	if err != nil {
		return err
	}
	if a.shared, err = acquire(ctx, so, a.log); err != nil {
		return err
	}
	if a.gateway, err = gateway.OpenOn(ctx, cfg, a.shared.state, o); err != nil {
		return err
	}
	return register(ctx, a.gateway)
}

// Start puts this configuration in force for what outlives a reload. It opens
// nothing: the routes may be answering already.
func (a *App) Start() error {
	if err := a.gateway.Begin(context.Background()); err != nil {
		return err
	}
	first := a.shared.use(a)
	a.survey()
	if first {
		a.gateway.AnnounceSetup(context.Background(), os.Stderr)
	}
	return nil
}

// Stop takes it out of force.
func (a *App) Stop() error {
	if a.shared != nil {
		a.shared.drop(a)
	}
	return nil
}

// Cleanup releases the state, if this configuration holds it: Caddy calls it after
// a failed Provision too. It takes the configuration out of force first, because
// what fails after all apps have started is cleaned up and never stopped.
func (a *App) Cleanup() error {
	if a.shared == nil {
		return nil
	}
	a.shared.drop(a)
	place := a.shared.place
	a.shared = nil
	return release(place)
}

// where is where people find the pages, for the setup link.
func (a *App) where() string {
	if base := a.base.Load(); base != nil {
		return *base
	}
	return ""
}

// client is who is asking: the peer, or what proxies say that Caddy trusts. Caddy's
// own client_ip is the first address that the header names (without
// trusted_proxies_strict), which the client himself writes where a proxy only appends.
func client(r *http.Request) netip.Addr {
	peer := web.Peer(r)
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !trusted || server == nil {
		return peer
	}
	for _, name := range server.ClientIPHeaders {
		if lines := r.Header.Values(name); len(lines) > 0 {
			return beyond(server, strings.Split(strings.Join(lines, ","), ","))
		}
	}
	return peer
}

// maxProxies bounds how many proxies in a row are asked about.
const maxProxies = 16

// beyond reads a list of addresses from the right, past those that Caddy trusts.
// Reading ends at garbage: the address beside it is the client, and with garbage at
// the right end nobody knows him. The zero address is in no network; the proxy's own
// would open rules for its network.
func beyond(server *caddyhttp.Server, list []string) (ip netip.Addr) {
	for i, text := range slices.Backward(list) {
		host, _, err := net.SplitHostPort(strings.TrimSpace(text))
		if err != nil {
			host = text
		}
		next := address(strings.TrimSpace(host))
		if !next.IsValid() || len(list)-i > maxProxies {
			return ip
		}
		if ip = next; !trusts(server, ip) {
			return ip
		}
	}
	return ip
}

// trusts asks Caddy whether a peer with this address would be a trusted proxy.
func trusts(server *caddyhttp.Server, ip netip.Addr) bool {
	r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Header: http.Header{}, RemoteAddr: netip.AddrPortFrom(ip, 1).String()}
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), server)
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

// address reads an address, IPv6 in brackets too; what is none is the zero address.
func address(text string) netip.Addr {
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		text = strings.TrimSuffix(inner, "]")
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap().WithZone("")
}

// scheme is what the browser speaks: the connection's own, or what one
// X-Forwarded-Proto of a proxy says that Caddy trusts.
func scheme(r *http.Request) string {
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		if proto := r.Header["X-Forwarded-Proto"]; len(proto) == 1 && (proto[0] == "https" || proto[0] == "http") {
			return proto[0]
		}
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// app finds the app, configured or not.
func app(ctx caddy.Context) (*App, error) {
	module, err := ctx.App("sallyport")
	if err != nil {
		return nil, err
	}
	a, ok := module.(*App)
	if !ok {
		return nil, fmt.Errorf("the app sallyport is a %T", module)
	}
	if a.gateway == nil {
		return nil, errors.New("the app sallyport is not open")
	}
	return a, nil
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
