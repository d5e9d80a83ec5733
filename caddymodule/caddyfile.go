package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// parseGlobal reads the global option:
//
//	{
//		sallyport {
//			portal https://auth.example.com
//			cookie_domain example.com
//			storage badger /var/lib/sallyport
//			realm staff {
//				factors 2
//			}
//		}
//	}
//
// Mistakes are errors with file and line, and name what was expected.
func parseGlobal(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		return nil, d.Err("sallyport stands twice among the global options")
	}
	b := &tree{d: d, lines: map[string]int{}}
	if !d.Next() || d.NextArg() {
		return nil, d.Err("expected a block with one word a line")
	}
	object, err := b.block(reflect.TypeFor[gateway.Config](), "")
	if err != nil {
		return nil, err
	}
	source, err := b.source(object)
	if err != nil {
		return nil, err
	}
	cfg, err := gateway.Decode(source)
	if err != nil {
		return nil, err
	}
	if !placeholders(source.JSON) {
		if err := cfg.Validate(true); err != nil {
			return nil, err
		}
	}
	return httpcaddyfile.App{Name: "sallyport", Value: source.JSON}, nil
}

// placeholders reports whether a configuration can only be judged where it is
// loaded.
func placeholders(text []byte) bool {
	return bytes.Contains(text, []byte("{env.")) || bytes.Contains(text, []byte("{file."))
}

// parseDirective reads the directive:
//
//	sallyport [<matcher>] [portal] {
//		<words of a rule>
//		rule {
//			<words of a rule>
//		}
//	}
//
// A matcher chooses which requests are guarded at all; all others pass without a
// login. `rule` may be repeated: the first that matches decides, none: denied.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !h.Next() {
		return nil, h.ArgErr()
	}
	matcher, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	handler, err := parseHandler(h)
	if err != nil {
		return nil, err
	}
	warnUnreachable(h, matcher, handler)
	return h.NewRoute(matcher, handler), nil
}

func parseHandler(h httpcaddyfile.Helper) (*Handler, error) {
	h.Next()
	args := h.RemainingArgs()
	if len(args) > 1 || len(args) == 1 && args[0] != "portal" {
		return nil, h.Err("expected nothing, a matcher, or the word portal behind sallyport")
	}
	b := &tree{d: h.Dispenser, lines: map[string]int{"": h.Line()}}
	object, err := b.block(reflect.TypeFor[handlerJSON](), "")
	if err != nil {
		return nil, err
	}
	if len(args) == 1 {
		object["portal"] = true
	}
	source, err := b.source(object)
	if err != nil {
		return nil, err
	}
	handler := new(Handler)
	if err := source.Into((*handlerJSON)(handler)); err != nil {
		return nil, err
	}
	rules, err := handler.rules()
	if err != nil {
		return nil, h.WrapErr(err)
	}
	if !placeholders(source.JSON) {
		cfg := globalConfig(h)
		if err := located(cfg.CheckRules(rules), source, len(handler.Rules) > 0); err != nil {
			return nil, err
		}
	}
	return handler, nil
}

// globalConfig is what the global option says, as far as it was understood.
func globalConfig(h httpcaddyfile.Helper) gateway.Config {
	global, _ := h.Option("sallyport").(httpcaddyfile.App)
	cfg, err := gateway.Decode(gateway.Source{JSON: global.Value})
	if err != nil {
		return gateway.Config{}
	}
	return cfg
}

// located names the line of what is wrong with a rule.
func located(err error, source gateway.Source, many bool) error {
	var bad *guard.Error
	if !errors.As(err, &bad) {
		return err
	}
	at := "/" + bad.Field
	if many {
		at = fmt.Sprintf("/rules/%d/%s", bad.Rule-1, bad.Field)
	}
	for {
		if line, ok := source.Lines[at]; ok || at == "" {
			return &gateway.ConfigError{File: source.File, Line: line, Text: bad.Field + ": " + bad.Text}
		}
		at = at[:strings.LastIndexByte(at, '/')]
	}
}

// Warning becomes a warning of the adapter, which takes them only as values that
// cannot be written as JSON.
type Warning struct{ text string }

// MarshalJSON always fails, with the warning.
func (w Warning) MarshalJSON() ([]byte, error) { return nil, errors.New(w.text) }

// warnUnreachable looks for a directive that guards a part of a site which does
// not hold its own login pages. Where directives are nested this cannot be seen
// here; the survey at start looks at everything.
func warnUnreachable(h httpcaddyfile.Helper, matcher caddy.ModuleMap, handler *Handler) {
	cfg := globalConfig(h)
	if handler.Portal || cfg.Portal != "" || len(cfg.CookieDomain) > 0 || reachesPages(matcher) {
		return
	}
	h.JSON(Warning{fmt.Sprintf("%s:%d: the matcher of sallyport does not let /sallyport/* through, so nobody can reach the login pages: guard the whole site and say in rules which paths ask for what, or set a portal", h.File(), h.Line())})
}

// reachesPages reports whether a matcher's paths hold the login page. What else it
// looks at cannot be known before a request.
func reachesPages(matcher caddy.ModuleMap) bool {
	raw, ok := matcher["path"]
	if !ok {
		return true
	}
	var paths caddyhttp.MatchPath
	if json.Unmarshal(raw, &paths) != nil || paths.Provision(caddy.Context{}) != nil {
		return true
	}
	r, err := asks(http.MethodGet, "https", "localhost", loginPath)
	return err != nil || paths.Match(r)
}
