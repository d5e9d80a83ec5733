package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
	"github.com/spf13/cobra"

	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/gateway"
)

// commandLine is `caddy sallyport …`: the commands of the standalone binary, but
// `serve`. --config names a Caddyfile or Caddy's JSON; without it the Caddyfile of
// the working directory counts, as for `caddy run`.
func commandLine() caddycmd.Command {
	return caddycmd.Command{
		Name:  "sallyport",
		Usage: "[--state DIR] [--config FILE] COMMAND",
		Short: "Manages users, realms and sessions of the authentication gateway, and explains its rules",
		CobraFunc: func(cmd *cobra.Command) {
			// The whole command line below is ours: its flags, errors and exit codes
			// are those of the standalone binary, because scripts depend on them.
			cmd.DisableFlagParsing, cmd.SilenceErrors, cmd.SilenceUsage = true, true, true
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				code := command.Run(cmd.Context(), shell(), args, os.Stdin, os.Stdout, os.Stderr)
				return exit(cmd, code)
			}
		},
	}
}

// exit hands an exit code to Caddy.
func exit(cmd *cobra.Command, code int) error {
	switch code {
	case command.ExitDone:
		return nil
	case command.ExitFailed:
		return errors.New("failed")
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return code, nil })(cmd, nil)
}

func shell() command.Shell {
	s := gateway.ManagementShell(load, gateway.Options{Routes: true, Version: version()})
	s.Check, s.Explain = check, explain
	return s
}

// load reads the app of the configuration that a command line names.
func load(g command.Global) (gateway.Config, error) {
	c, err := read(g)
	return c.app, err
}

// written is a configuration of Caddy, as far as it concerns us.
type written struct {
	file     string
	warnings []string // of the adapter
	app      gateway.Config
	sites    []site
	hidden   []string // modules that hide a guard
}

// read adapts a configuration without provisioning it: nothing is opened.
func read(g command.Global) (written, error) {
	w := written{file: g.Config}
	if _, err := os.Stat(adjacent); w.file == "" && err == nil {
		w.file = adjacent
	}
	text, err := w.adapted()
	if err != nil {
		return w, err
	}
	var all struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &all); err != nil {
			return w, fmt.Errorf("read the configuration %s: it is not what Caddy understands", w.file)
		}
	}
	if w.app, err = gateway.Decode(gateway.Source{JSON: all.Apps["sallyport"], Expand: true}); err != nil {
		return w, err
	}
	if w.app.Storage == "" {
		w.app.Storage = "badger:" + defaultStateDir()
	}
	w.sites, w.hidden, err = sitesIn(all.Apps["http"])
	return w, err
}

// adjacent is the file that `caddy run` takes where none is named.
const adjacent = "Caddyfile"

// adapted is the configuration as Caddy's JSON: what is JSON already, or else a
// Caddyfile.
func (w *written) adapted() ([]byte, error) {
	if w.file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(w.file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if json.Valid(text) {
		return text, nil
	}
	text, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": w.file})
	for _, warning := range warnings {
		if warning.Directive == "" && strings.Contains(warning.Message, "not formatted") {
			continue // a matter of taste
		}
		if _, ours, ok := strings.Cut(warning.Message, warningPrefix); ok {
			w.warnings = append(w.warnings, ours)
			continue
		}
		w.warnings = append(w.warnings, warning.String())
	}
	return text, err
}

// sitesIn finds our handlers in the http app's JSON. Matchers are made for real,
// so that they match as they will; other handlers are left alone.
func sitesIn(text json.RawMessage) (sites []site, within []string, err error) {
	if text == nil {
		return nil, nil, nil
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	var app struct {
		Servers map[string]*struct {
			Listen   []string                    `json:"listen"`
			Routes   caddyhttp.RouteList         `json:"routes"`
			Named    map[string]*caddyhttp.Route `json:"named_routes"`
			Policies []json.RawMessage           `json:"tls_connection_policies"`
			Auto     *caddyhttp.AutoHTTPSConfig  `json:"automatic_https"`
		} `json:"servers"`
		HTTPPort int `json:"http_port"`
	}
	if err := json.Unmarshal(text, &app); err != nil {
		return nil, nil, errors.New("read the configuration: its http app is not what Caddy understands")
	}
	names := []string{}
	for name := range app.Servers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		s := app.Servers[name]
		if err := provisionMatchers(ctx, s.Routes); err != nil {
			return nil, nil, err
		}
		for _, route := range s.Named {
			one := caddyhttp.RouteList{*route}
			if err := provisionMatchers(ctx, one); err != nil {
				return nil, nil, err
			}
			*route = one[0]
		}
		server := &caddyhttp.Server{Listen: s.Listen, Routes: s.Routes, NamedRoutes: s.Named}
		found := sitesOf(name, server)
		within = append(within, hiddenIn(resolved(s.Routes, s.Named, 0))...)
		for i := range found {
			plain := found[i].port == "80" || app.HTTPPort > 0 && found[i].port == fmt.Sprint(app.HTTPPort)
			found[i].https = len(s.Policies) > 0 || !plain && len(found[i].hosts) > 0 && (s.Auto == nil || !s.Auto.Disabled)
		}
		sites = append(sites, found...)
	}
	return sites, within, nil
}

// hidden is a handler of another module with a guard somewhere inside (intercept,
// reverse_proxy's handle_response), which is not looked into.
type hidden struct {
	caddyhttp.MiddlewareHandler
	module string
}

// inside finds a guard in a handler's JSON.
var inside = regexp.MustCompile(`"handler"\s*:\s*"sallyport"`)

// hiddenIn names the modules that hide a guard, each once.
func hiddenIn(routes caddyhttp.RouteList) (modules []string) {
	for i := range routes {
		for _, handler := range routes[i].Handlers {
			switch handler := handler.(type) {
			case hidden:
				modules = append(modules, handler.module)
			case *caddyhttp.Subroute:
				modules = append(modules, hiddenIn(handler.Routes)...)
			}
		}
	}
	slices.Sort(modules)
	return slices.Compact(modules)
}

// provisionMatchers makes the matchers of routes, and of our handlers, rewrites and
// subroutes what can be looked at.
func provisionMatchers(ctx caddy.Context, routes caddyhttp.RouteList) error {
	for i := range routes {
		if err := routes[i].ProvisionMatchers(ctx); err != nil {
			return err
		}
		for _, raw := range routes[i].HandlersRaw {
			var kind struct {
				Handler string              `json:"handler"`
				Routes  caddyhttp.RouteList `json:"routes"`
			}
			if err := json.Unmarshal(raw, &kind); err != nil && kind.Handler != "sallyport" {
				continue // of another module, whose routes are something else
			}
			switch kind.Handler {
			case "sallyport":
				h, err := handlerOf(raw)
				if err != nil {
					return err
				}
				routes[i].Handlers = append(routes[i].Handlers, h)
			case "rewrite":
				var h rewrite.Rewrite
				if err := errors.Join(json.Unmarshal(raw, &h), h.Provision(ctx)); err != nil {
					return err
				}
				routes[i].Handlers = append(routes[i].Handlers, &h)
			case "invoke":
				h := new(caddyhttp.Invoke)
				if err := json.Unmarshal(raw, h); err != nil {
					return err
				}
				routes[i].Handlers = append(routes[i].Handlers, h)
			case "subroute":
				if err := provisionMatchers(ctx, kind.Routes); err != nil {
					return err
				}
				routes[i].Handlers = append(routes[i].Handlers, &caddyhttp.Subroute{Routes: kind.Routes})
			default:
				if inside.Match(raw) {
					routes[i].Handlers = append(routes[i].Handlers, hidden{module: kind.Handler})
				}
			}
		}
	}
	return nil
}

func handlerOf(raw json.RawMessage) (*Handler, error) {
	var words map[string]json.RawMessage
	if err := json.Unmarshal(raw, &words); err != nil {
		return nil, err
	}
	delete(words, "handler")
	text, err := json.Marshal(words)
	if err != nil {
		return nil, err
	}
	h := new(Handler)
	return h, h.UnmarshalJSON(text)
}

// check says what each rule of each site means, and what cannot work.
func check(_ context.Context, g command.Global) (command.Report, error) {
	c, err := read(g)
	if err != nil {
		return command.Report{}, err
	}
	r := command.Report{File: c.file, Rules: []command.RuleReport{}, Warnings: []string{}}
	if r.Warnings, err = c.app.Remarks(); err != nil {
		return r, err
	}
	if r.Facades, err = c.app.FacadeReports(); err != nil {
		return r, err
	}
	r.Warnings = append(r.Warnings, c.warnings...)
	for i := range c.sites {
		s := &c.sites[i]
		where := s.where()
		if s.handler.Portal {
			r.Rules = append(r.Rules, command.RuleReport{Number: 1, Name: where, Text: "the login pages"})
			continue
		}
		rules, err := s.handler.rules()
		var remarks []string
		if err == nil {
			remarks, err = c.app.CheckRules(rules)
		}
		if err != nil {
			return r, fmt.Errorf("%s: %w", where, err)
		}
		for _, text := range remarks {
			r.Warnings = append(r.Warnings, where+": "+text)
		}
		for _, report := range c.app.RuleReports(rules) {
			report.Name = strings.TrimSuffix(where+" "+report.Name, " ")
			r.Rules = append(r.Rules, report)
		}
	}
	if len(c.app.Rules) > 0 {
		for _, report := range c.app.RuleReports(c.app.Rules) {
			report.Name = strings.TrimSuffix("forward-auth "+report.Name, " ")
			r.Rules = append(r.Rules, report)
		}
	}
	for _, module := range c.hidden {
		r.Warnings = append(r.Warnings, "a sallyport stands inside "+module+", which check does not look into")
	}
	if len(c.sites)+len(c.hidden) == 0 {
		r.Warnings = append(r.Warnings, "no site has the directive sallyport: nothing is guarded")
	}
	r.Warnings = append(r.Warnings, remarks(c.sites, c.app.Portals())...)
	return r, nil
}

func (s *site) where() string {
	if len(s.hosts) == 0 {
		return ":" + s.port
	}
	return strings.Join(s.hosts, ", ")
}

// explain finds the site that a request would come to, and asks its rules.
func explain(_ context.Context, g command.Global, q command.Question) (command.Explanation, error) {
	c, err := read(g)
	if err != nil {
		return command.Explanation{}, err
	}
	u, err := url.Parse(q.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return command.Explanation{}, errors.New("expected a whole URL, such as https://app.example.com/x")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	for i := range c.sites {
		s := &c.sites[i]
		if s.port != "" && s.port != port {
			continue
		}
		r, err := asks(strings.ToUpper(q.Method), u.Scheme, u.Host, u.RequestURI())
		if err != nil {
			return command.Explanation{}, errors.New("expected a method and a whole URL, such as GET https://app.example.com/x")
		}
		h := first(s.routes, r)
		switch {
		case h == nil:
			continue
		case h.Portal, gateway.Owns(u.RequestURI()), gateway.Owns(r.RequestURI):
			return command.Explanation{Decision: "allow", Reason: "the gateway answers this by itself"}, nil
		}
		rules, err := h.rules()
		if err != nil {
			return command.Explanation{}, err
		}
		if r.RequestURI != u.RequestURI() { // the decision is on what goes on
			q.URL = u.Scheme + "://" + u.Host + r.RequestURI
		}
		if r.Method != strings.ToUpper(q.Method) {
			q.Method = r.Method
		}
		return c.app.ExplainRoute(rules, q)
	}
	if len(c.hidden) > 0 {
		return command.Explanation{}, fmt.Errorf("cannot be told from here: a sallyport stands inside %s, which explain does not look into", strings.Join(c.hidden, " and "))
	}
	return command.Explanation{Decision: "allow", Reason: "no sallyport stands before this address in this configuration: no site here has this host and port, or it serves this without a login"}, nil
}
