package guard

import (
	"fmt"
	"slices"
)

// Warnings says what in a list of rules is allowed but seldom meant, for the
// command that checks a configuration. An empty list of rules is worth one too.
func (r *Rules) Warnings() []string {
	var out []string
	if len(r.list) == 0 {
		return []string{"there are no rules: everything is denied"}
	}
	for i := range r.list {
		c := &r.list[i]
		if c.nobody {
			out = append(out, fmt.Sprintf("rule %d: admits nobody: it names no realms, users, groups or services, and factors is not 0", c.number))
		}
		if slices.ContainsFunc(c.paths, func(p pathPattern) bool { return p.regex != nil }) {
			out = append(out, fmt.Sprintf("rule %d: paths: a regular expression must match the whole path, without the query; a prefix such as /admin/* says the same with less to get wrong", c.number))
		}
		if by := r.hiddenBy(i); by > 0 {
			out = append(out, fmt.Sprintf("rule %d: never decides: rule %d matches all that it does and stands before it", c.number, by))
		}
	}
	return out
}

// hiddenBy returns the number of an earlier rule that matches whatever rule i
// matches, 0 if none surely does.
func (r *Rules) hiddenBy(i int) int {
	c := &r.list[i]
	for j := range i {
		e := &r.list[j]
		if e.anywhere && len(e.paths) == 0 && !slices.ContainsFunc(c.hosts, func(h hostPattern) bool {
			return !slices.ContainsFunc(e.hosts, func(over hostPattern) bool { return over.covers(h) })
		}) {
			return e.number
		}
	}
	return 0
}

// covers reports whether every host of other is one of h.
func (h hostPattern) covers(other hostPattern) bool {
	switch {
	case h == other, h.below && h.name == "":
		return true
	case other.below && other.name == "":
		return false
	}
	return h.below && h.match(other.name)
}
