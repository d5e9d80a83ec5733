package guard

import (
	"net/netip"
	"slices"
	"strings"
)

// index makes, for every host that a rule names and every suffix, the list of
// rules that such a host may select, so that a request looks at no others.
func (r *Rules) index() {
	r.exact, r.suffixes = map[string]*hostRules{}, map[string]*hostRules{}
	for i := range r.list {
		r.list[i].anywhere = len(r.list[i].methods)+len(r.list[i].networks) == 0
		for _, h := range r.list[i].hosts {
			switch {
			case !h.below:
				r.exact[h.name] = nil
			case h.name != "":
				r.suffixes[h.name] = nil
			}
		}
	}
	for name := range r.exact {
		r.exact[name] = r.of(func(h hostPattern) bool { return h.match(name) })
	}
	for name := range r.suffixes {
		// What any host below name may select; deeper suffixes and exact
		// names have lists of their own, which are looked at first.
		r.suffixes[name] = r.of(func(h hostPattern) bool {
			return h.below && (h.name == "" || h.name == name || strings.HasSuffix(name, "."+h.name))
		})
	}
	r.any = r.of(func(h hostPattern) bool { return h.below && h.name == "" })
}

func (r *Rules) of(match func(hostPattern) bool) *hostRules {
	h := &hostRules{}
	for i := range r.list {
		c := &r.list[i]
		if !slices.ContainsFunc(c.hosts, match) {
			continue
		}
		h.rules = append(h.rules, c)
		h.paths = h.paths || len(c.paths) > 0
		h.methods = h.methods || len(c.methods) > 0
		h.network = h.network || len(c.networks) > 0
		h.capitals = h.capitals || slices.ContainsFunc(c.paths, func(p pathPattern) bool { return p.capitals() })
	}
	return h
}

// host returns the rules that a canonical host may select, never nil.
func (r *Rules) host(host string) *hostRules {
	if h, ok := r.exact[host]; ok {
		return h
	}
	if len(r.suffixes) > 0 && host[0] != '[' {
		for rest := host; ; {
			i := strings.IndexByte(rest, '.')
			if i < 0 {
				break
			}
			rest = rest[i+1:]
			if h, ok := r.suffixes[rest]; ok {
				return h
			}
		}
	}
	if r.any != nil {
		return r.any
	}
	return &hostRules{} // of the zero Rules
}

// choose returns the rule that decides, nil if none does. Errors: ErrPath,
// errViews. path is raw.
func (h *hostRules) choose(method, path string, client netip.Addr) (*compiled, error) {
	if path == "" || path[0] != '/' {
		return nil, ErrPath
	}
	if !h.paths {
		return h.first(method, "", client, false), nil
	}
	if ok, capitals := simple(path); ok {
		rule := h.first(method, path, client, false)
		if !capitals && !h.capitals {
			return rule, nil
		}
		if h.first(method, strings.ToLower(path), client, true) != rule {
			return nil, errViews
		}
		return rule, nil
	}
	return h.chooseViews(method, path, client)
}

func (h *hostRules) chooseViews(method, path string, client netip.Addr) (*compiled, error) {
	views, err := readings(path)
	if err != nil {
		return nil, err
	}
	rule := h.first(method, path, client, false)
	for _, view := range views {
		if h.first(method, view, client, false) != rule || h.first(method, strings.ToLower(view), client, true) != rule {
			return nil, errViews
		}
	}
	return rule, nil
}

func (h *hostRules) first(method, path string, client netip.Addr, folded bool) *compiled {
	for _, c := range h.rules {
		if (c.anywhere || c.covers(method, client)) && c.coversPath(path, folded) {
			return c
		}
	}
	return nil
}

func (c *compiled) covers(method string, client netip.Addr) bool {
	if len(c.methods) > 0 && !slices.Contains(c.methods, method) {
		return false
	}
	if len(c.networks) == 0 {
		return true
	}
	client = client.Unmap().WithZone("")
	for _, n := range c.networks {
		if n.Contains(client) {
			return true
		}
	}
	return false
}

func (c *compiled) coversPath(path string, folded bool) bool {
	if len(c.paths) == 0 {
		return true
	}
	for i := range c.paths {
		if c.paths[i].match(path, folded) {
			return true
		}
	}
	return false
}
