package adjure

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

const (
	// maxBody bounds a request body, in bytes: more than any call needs.
	maxBody = 64 << 10
	// maxDepth bounds how deep a body nests. What is good has depth 1.
	maxDepth = 64
)

// body reads the parameters of a POST. The content type does not matter, as in the
// original. Errors: badRequest, tooLarge, and those of the schema.
func (c *call) body(s *schema) (*dict, error) {
	text, err := web.ReadBody(c.w, c.r, maxBody)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, tooLarge
	}
	if err != nil {
		return nil, badRequest
	}
	v, err := parse(text)
	if err != nil {
		return nil, badRequest
	}
	return s.judge(v, shown(v))
}

// parse reads one JSON text, as Python does, but neither NaN nor half a character.
func parse(text []byte) (any, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true))
	v, err := value(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return nil, errors.New("something follows the JSON text")
	}
	return v, nil
}

func value(dec *jsontext.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("the JSON text nests too deeply")
	}
	token, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case 't', 'f':
		return token.Bool(), nil
	case '0':
		return number(token.String()), nil
	case '"':
		return token.String(), nil
	case '[':
		return elements(dec, depth)
	case '{':
		return members(dec, depth)
	}
	return nil, nil
}

func elements(dec *jsontext.Decoder, depth int) (any, error) {
	all := list{}
	for dec.PeekKind() != ']' {
		v, err := value(dec, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	_, err := dec.ReadToken()
	return all, err
}

func members(dec *jsontext.Decoder, depth int) (any, error) {
	d := newDict()
	for dec.PeekKind() != '}' {
		key, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		name := key.String() // before the next read, which makes it void
		v, err := value(dec, depth+1)
		if err != nil {
			return nil, err
		}
		d.set(name, v)
	}
	_, err := dec.ReadToken()
	return d, err
}

// text is a parameter that the schema demanded.
func (d *dict) text(name string) string {
	s, _ := d.values[name].(string)
	return s
}

// query reads the parameters of a GET. Of one that comes twice the first counts.
func (c *call) query(s *schema) (*dict, error) {
	params, pairs := newDict(), list{}
	for pair := range strings.SplitSeq(c.r.URL.RawQuery, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, value = compat.Unquote(name), compat.Unquote(value)
		if _, twice := params.values[name]; !twice {
			params.set(name, value)
		}
		if !plain(name) {
			value = string(hidden[1 : len(hidden)-1])
		}
		pairs = append(pairs, literal("("+quoted(name)+", "+quoted(value)+")"))
	}
	return s.judge(params, literal("ImmutableMultiDict("+repr(pairs)+")"))
}
