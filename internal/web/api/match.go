package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// tag is the entity tag of a record (RFC 9110 section 8.8.3): its version, and
// whose version it is. born tells records apart that bear one name after each
// other, such as the principal's id: the first version of somebody who was made
// again is not the first version of who was deleted.
func tag(version uint64, born string) string {
	sum := sha256.Sum256([]byte(born))
	return `"` + strconv.FormatUint(version, 10) + "-" + hex.EncodeToString(sum[:4]) + `"`
}

// condition is what If-Match and If-None-Match of a request ask. The zero
// condition holds always.
type condition struct {
	match, noneMatch *tags
}

// tags is the value of either header.
type tags struct {
	any  bool // *
	list []string
	weak []string // what stood behind W/
}

// conditions reads the request's, and refuses those that the route would ignore.
func (c *caller) conditions(r *http.Request, route Route) (err error) {
	if route.Method == http.MethodGet {
		return nil
	}
	for _, header := range []struct {
		name string
		to   **tags
	}{{"If-Match", &c.match.match}, {"If-None-Match", &c.match.noneMatch}} {
		values := r.Header.Values(header.name)
		switch {
		case len(values) == 0:
			continue
		case !route.Match:
			return problem(http.StatusBadRequest, "if_match", "This call asks for no version: send it without If-Match and If-None-Match.")
		}
		if *header.to, err = parseTags(strings.Join(values, ",")); err != nil {
			return err
		}
	}
	return nil
}

// parseTags reads * or a list of entity tags.
func parseTags(text string) (*tags, error) {
	if strings.Trim(text, " \t") == "*" {
		return &tags{any: true}, nil
	}
	bad := problem(http.StatusBadRequest, "if_match", "If-Match and If-None-Match hold * or entity tags in quotes, such as the ETag of an answer.")
	result := &tags{}
	for {
		text = strings.TrimLeft(text, ", \t") // empty elements are allowed
		if text == "" {
			break
		}
		rest, weak := strings.CutPrefix(text, "W/")
		end := strings.IndexByte(strings.TrimPrefix(rest, `"`), '"') + 1
		if !strings.HasPrefix(rest, `"`) || end == 0 || strings.ContainsFunc(rest[1:end], notInTag) {
			return nil, bad
		}
		one := rest[:end+1]
		text = strings.TrimLeft(rest[end+1:], " \t")
		if text != "" && text[0] != ',' {
			return nil, bad
		}
		if weak {
			result.weak = append(result.weak, one)
		} else {
			result.list = append(result.list, one)
		}
	}
	if len(result.list)+len(result.weak) == 0 {
		return nil, bad
	}
	return result, nil
}

// notInTag: etagc of RFC 9110 section 8.8.3.
func notInTag(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f }

// weakly compares as If-None-Match does (RFC 9110 section 8.8.3.2).
func (t *tags) weakly(current string) bool {
	return t.any || slices.Contains(t.list, current) || slices.Contains(t.weak, current)
}

// holds decides the request's conditions over a record's tag ("": there is no
// such record) and answers 412 unless they hold (RFC 9110 section 13.1). Call it
// in the transaction of the change, once, before the change, and after it is
// known that the caller may see the record.
func (c *caller) holds(current string) error {
	if m := c.match.match; m != nil && (current == "" || !m.any && !slices.Contains(m.list, current)) {
		return problem(http.StatusPreconditionFailed, "version", "It was changed by somebody else meanwhile: read it again.")
	}
	m := c.match.noneMatch
	if m == nil || current == "" {
		return nil
	}
	if m.weakly(current) {
		return problem(http.StatusPreconditionFailed, "exists", "It exists already.")
	}
	return nil
}
