package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
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
	d.Next()
	if existing != nil {
		return nil, d.Err("sallyport stands twice among the global options")
	}
	b := newTree(d)
	object, err := b.whole(reflect.TypeFor[gateway.Config](), "")
	if err != nil {
		return nil, err
	}
	if err := b.judgeGlobal(object); err != nil {
		return nil, err
	}
	text, err := json.Marshal(object)
	return httpcaddyfile.App{Name: "sallyport", Value: text}, err
}

func (b *tree) judgeGlobal(object map[string]any) error {
	source, whole, err := b.judged(object)
	if err != nil {
		return err
	}
	cfg, err := gateway.Decode(source)
	if err == nil && whole {
		cfg.Logo, cfg.Templates = "", "" // files of the server's machine, not of this one
		err = cfg.Validate(true)
	}
	return b.explain(err)
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
	warnMatcher(h, matcher, handler)
	return h.NewRoute(matcher, handler), nil
}

func parseHandler(h httpcaddyfile.Helper) (*Handler, error) {
	h.Next()
	b := newTree(h.Dispenser)
	object := map[string]any{}
	switch args := h.RemainingArgs(); {
	case len(args) == 1 && args[0] == "portal":
		object["portal"] = true
	case len(args) > 0:
		return nil, h.Err("expected a matcher, the word portal, a block, or nothing more")
	}
	if err := b.block(reflect.TypeFor[handlerJSON](), object, ""); err != nil {
		return nil, err
	}
	source, whole, err := b.judged(object)
	if err != nil {
		return nil, err
	}
	handler := new(Handler)
	if err := source.Into((*handlerJSON)(handler)); err != nil {
		return nil, b.explain(err)
	}
	rules, err := handler.rules()
	if err == nil && whole {
		cfg := globalConfig(h)
		_, err = cfg.CheckRules(rules)
	}
	if err != nil {
		return nil, b.explain(err)
	}
	handler.raw, err = json.Marshal(object)
	return handler, err
}

// globalConfig is what the global option says, as far as a directive depends on it.
func globalConfig(h httpcaddyfile.Helper) gateway.Config {
	global, _ := h.Option("sallyport").(httpcaddyfile.App)
	var words struct {
		Portal       string                `json:"portal"`
		CookieDomain gateway.CookieDomains `json:"cookie_domain"`
		DefaultRealm string                `json:"default_realm"`
		Compat       struct {
			Adjure *struct {
				Realm string `json:"realm"`
			} `json:"adjure"`
			Fastapi2FA *struct {
				Realm  string `json:"realm"`
				Signup bool   `json:"signup"`
			} `json:"fastapi2fa"`
		} `json:"compat"`
	}
	if len(global.Value) > 0 && json.Unmarshal(global.Value, &words) != nil {
		return gateway.Config{}
	}
	cfg := gateway.Config{Portal: words.Portal, CookieDomain: words.CookieDomain, DefaultRealm: words.DefaultRealm}
	if a := words.Compat.Adjure; a != nil {
		cfg.Compat.Adjure = &compat.Adjure{Realm: compat.Word(a.Realm)}
	}
	if f := words.Compat.Fastapi2FA; f != nil {
		cfg.Compat.Fastapi2FA = &compat.Fastapi2FA{Realm: compat.Word(f.Realm), Signup: f.Signup}
	}
	return cfg
}

// Warning becomes a warning of the adapter, which takes them only as values that
// cannot be written as JSON.
type Warning struct{ text string }

// warningPrefix is what the JSON encoder puts before it.
const warningPrefix = "for type caddymodule.Warning: "

// MarshalJSON always fails, with the warning.
func (w Warning) MarshalJSON() ([]byte, error) { return nil, errors.New(w.text) }

// warnMatcher looks for a directive that guards a part of a site which does not hold
// its own login pages, or that is chosen by a path alone. Where directives are
// nested this cannot be seen here; the survey at start looks at everything.
func warnMatcher(h httpcaddyfile.Helper, matcher caddy.ModuleMap, handler *Handler) {
	cfg, text := globalConfig(h), ""
	switch {
	case handler.Portal:
		return
	case cfg.Portal == "" && len(cfg.CookieDomain) == 0 && !reachesPages(matcher):
		text = "the matcher of sallyport does not let /sallyport/* through, so nobody can reach the login pages: guard the whole site and say in rules which paths ask for what, or set a portal"
	case byPath(matcher):
		text = "the matcher of sallyport leaves paths without a guard, as Caddy reads them, and some applications read /admin;x or /%2561dmin as /admin: guard the whole site and say in rules which paths ask for what"
	default:
		return
	}
	h.JSON(Warning{fmt.Sprintf("%s:%d: %s", h.File(), h.Line(), text)})
}

// byPath reports whether a matcher lets a part of the paths through.
func byPath(matcher caddy.ModuleMap) bool {
	var paths caddyhttp.MatchPath
	if json.Unmarshal(matcher["path"], &paths) == nil {
		return len(paths) > 0 && !slices.ContainsFunc(paths, func(p string) bool { return p == "*" || p == "/*" })
	}
	_, regex := matcher["path_regexp"]
	return regex
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
