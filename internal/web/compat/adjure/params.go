package adjure

import (
	"math"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/otp"
)

// schema is what an endpoint takes. The original judges by JSON schema and tells its
// callers the library's own words; the first line of them is what clients match.
type schema struct {
	properties []property
	required   []string
	closed     bool // takes no other properties
}

type property struct {
	name   string
	kind   string // "string" or "number"
	enum   list
	period bool // whole seconds of a step; 0: the default
}

var (
	userID = property{name: "user_id", kind: "string"}

	provisionSchema = &schema{required: []string{"user_id"}, closed: true, properties: []property{
		userID,
		{name: "key_length", kind: "number", enum: list{number("6"), number("8")}},
		{name: "key_valid_duration", kind: "number", period: true},
		{name: "hash_algorithm", kind: "string", enum: list{"SHA1", "SHA256", "SHA512"}},
	}}
	userSchema         = &schema{required: []string{"user_id"}, properties: []property{userID}}
	authenticateSchema = &schema{required: []string{"user_id", "auth_code"}, properties: []property{userID, {name: "auth_code", kind: "string"}}}
	recoverySchema     = &schema{required: []string{"user_id", "recovery_code"}, properties: []property{userID, {name: "recovery_code", kind: "string"}}}
	qrcodeSchema       = &schema{required: []string{"user_id", "issuer", "username"}, properties: []property{
		userID, {name: "issuer", kind: "string"}, {name: "username", kind: "string"},
	}}
)

// judge returns the parameters, or the first thing that is wrong with them: what is
// missing before what is wrong, in the order of the schema. shown is how the whole
// looks in a dump.
func (s *schema) judge(v, shown any) (*dict, error) {
	params, ok := v.(*dict)
	if !ok {
		return nil, s.invalid("type", repr(v)+" is not of type 'object'", shown)
	}
	for _, name := range s.required {
		if _, ok := params.values[name]; !ok {
			return nil, s.invalid("required", quoted(name)+" is a required property", shown)
		}
	}
	if text := s.unexpected(params); text != "" {
		return nil, s.invalid("additionalProperties", text, shown)
	}
	for _, p := range s.properties {
		if v, ok := params.values[p.name]; ok {
			if word, text := p.wrong(v); word != "" {
				return nil, p.invalid(word, text, v)
			}
		}
	}
	return params, nil
}

func (s *schema) unexpected(params *dict) string {
	if !s.closed {
		return ""
	}
	var extras []string
	for _, key := range params.order(true) {
		if !slices.ContainsFunc(s.properties, func(p property) bool { return p.name == key }) {
			extras = append(extras, quoted(key))
		}
	}
	switch len(extras) {
	case 0:
		return ""
	case 1:
		return "Additional properties are not allowed (" + echo(extras[0]) + " was unexpected)"
	}
	return "Additional properties are not allowed (" + echo(strings.Join(extras, ", ")) + " were unexpected)"
}

// wrong says which keyword of the schema a value breaks, and how; "": none.
func (p property) wrong(v any) (keyword, text string) {
	n, isNumber := v.(number)
	_, isString := v.(string)
	if p.kind == "number" && !isNumber || p.kind == "string" && !isString {
		return "type", echo(repr(v)) + " is not of type '" + p.kind + "'"
	}
	if p.enum != nil && !slices.ContainsFunc(p.enum, func(one any) bool { return same(one, v) }) {
		return "enum", echo(repr(v)) + " is not one of " + repr(p.enum)
	}
	if !p.period {
		return "", ""
	}
	switch f := n.float(); {
	case f < 0:
		return "minimum", echo(repr(v)) + " is less than the minimum of 0"
	case f > otp.MaxPeriod:
		return "maximum", echo(repr(v)) + " is greater than the maximum of 3600"
	case f != math.Trunc(f):
		return "multipleOf", echo(repr(v)) + " is not a multiple of 1"
	}
	return "", ""
}

// same compares as Python does: 6 and 6.0 are one number.
func same(a, b any) bool {
	x, isX := a.(number)
	y, isY := b.(number)
	if isX && isY {
		return x.float() == y.float()
	}
	return a == b
}

// invalid is the library's message, for the whole and for one property. Of what was
// sent it repeats no code, because callers log these messages; only the first line
// holds a code of the wrong type, as in the original.
func (s *schema) invalid(keyword, text string, shown any) error {
	return complaint(keyword, text, "", s.python(), shown)
}

func (p property) invalid(keyword, text string, v any) error {
	if !plain(p.name) {
		v = hidden
	}
	return complaint(keyword, text, "["+quoted(p.name)+"]", p.python(), v)
}

func complaint(keyword, text, at string, expected, shown any) error {
	in := ""
	if at != "" {
		in = "['properties']" + at
	}
	return refuse(invalidParams, "%s\n\nFailed validating '%s' in schema%s:\n%s\n\nOn instance%s:\n%s",
		echo(text), keyword, in, dump(expected), at, echo(dump(shown)))
}

func (s *schema) python() *dict {
	properties, required := newDict(), list{}
	for _, p := range s.properties {
		properties.set(p.name, p.python())
	}
	for _, name := range s.required {
		required = append(required, name)
	}
	d := newDict().set("type", "object").set("properties", properties).set("required", required)
	if s.closed {
		d.set("additionalProperties", false)
	}
	return d
}

func (p property) python() *dict {
	d := newDict().set("type", p.kind)
	if p.enum != nil {
		d.set("enum", p.enum)
	}
	if p.period {
		d.set("minimum", number("0")).set("maximum", number("3600")).set("multipleOf", number("1"))
	}
	return d
}

// hidden stands where a dump would repeat a code.
const hidden = literal("'[secret]'")

// plain reports whether the value of a property may be repeated. A code may stand
// under a name that is only nearly right.
func plain(name string) bool {
	switch name {
	case "user_id", "key_length", "key_valid_duration", "hash_algorithm", "issuer", "username":
		return true
	}
	return false
}

// shown is a body as a dump may repeat it.
func shown(v any) any {
	d, ok := v.(*dict)
	if !ok {
		return v
	}
	safe := newDict()
	for _, key := range d.keys {
		if value := d.values[key]; plain(key) {
			safe.set(key, value)
		} else {
			safe.set(key, hidden)
		}
	}
	return safe
}
