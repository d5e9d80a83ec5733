package caddymodule

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// tree reads a block of a Caddyfile as the JSON of the type that it configures, so
// that each word of the configuration is a word of the Caddyfile too, and both are
// understood, and refused, by the same code. It remembers on which line each value
// stood.
//
// A list is written as arguments, and may be repeated: the singular of its name
// will do (`group ops`, `realm staff`). A group of values is a block. A map of
// groups is a block with a name (`realm staff { … }`). Yes-or-no words need no
// argument.
type tree struct {
	d     *caddyfile.Dispenser
	lines map[string]int
}

// marshaler: types that read themselves.
var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// block reads all words of a block into an object of type t.
func (b *tree) block(t reflect.Type, at string) (map[string]any, error) {
	object := map[string]any{}
	for nesting := b.d.Nesting(); b.d.NextBlock(nesting); {
		if err := b.word(t, object, at); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// word reads one word with its arguments and its block into the object.
func (b *tree) word(t reflect.Type, object map[string]any, at string) error {
	key, field := lookUp(t, b.d.Val())
	below := at + "/" + escape.Replace(key)
	if _, seen := b.lines[below]; !seen {
		b.lines[below] = b.d.Line()
	}
	if field == nil { // the decoder says what is wrong with it
		object[key] = b.d.RemainingArgs()
		for nesting := b.d.Nesting(); b.d.NextBlock(nesting); {
		}
		return nil
	}
	return b.value(object, key, below, field)
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

// lookUp finds the field that a word means, by its name or by its singular.
func lookUp(t reflect.Type, word string) (key string, field reflect.Type) {
	names := []string{word, word + "s"}
	if stem, ok := strings.CutSuffix(word, "y"); ok {
		names = append(names, stem+"ies")
	}
	for i, name := range names {
		for _, f := range reflect.VisibleFields(t) {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if tag != name || !f.IsExported() {
				continue
			}
			kind := f.Type.Kind()
			if i > 0 && kind != reflect.Slice && kind != reflect.Map {
				continue
			}
			return name, f.Type
		}
	}
	return word, nil
}

func (b *tree) value(object map[string]any, key, at string, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Slice && t.Kind() != reflect.Map {
		if _, twice := object[key]; twice {
			return b.d.Errf("%s stands twice", key)
		}
	}
	if t == reflect.TypeFor[gateway.CookieDomains]() {
		return b.cookieDomain(object, key)
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return b.scalar(object, key, t)
	}
	switch t.Kind() {
	case reflect.Struct:
		inner, err := b.whole(t, at)
		object[key] = inner
		return err
	case reflect.Map:
		return b.named(object, key, at, t.Elem())
	case reflect.Slice:
		return b.list(object, key, at, t.Elem())
	}
	return b.scalar(object, key, t)
}

// whole reads a group of values: a block and no arguments.
func (b *tree) whole(t reflect.Type, at string) (map[string]any, error) {
	if b.d.NextArg() {
		return nil, b.d.Errf("expected a block with one word a line")
	}
	return b.block(t, at)
}

// named reads NAME { … } into a map.
func (b *tree) named(object map[string]any, key, at string, t reflect.Type) error {
	args := b.d.RemainingArgs()
	if len(args) != 1 {
		return b.d.Errf("expected a name and a block")
	}
	all, _ := object[key].(map[string]any)
	if all == nil {
		all = map[string]any{}
		object[key] = all
	}
	if _, twice := all[args[0]]; twice {
		return b.d.Errf("%.64q stands twice", args[0])
	}
	below := at + "/" + escape.Replace(args[0])
	b.lines[below] = b.d.Line()
	inner, err := b.block(t, below)
	all[args[0]] = inner
	return err
}

func (b *tree) list(object map[string]any, key, at string, t reflect.Type) error {
	all, _ := object[key].([]any)
	if t.Kind() == reflect.Struct {
		below := at + "/" + strconv.Itoa(len(all))
		b.lines[below] = b.d.Line()
		inner, err := b.whole(t, below)
		object[key] = append(all, inner)
		return err
	}
	args := b.d.RemainingArgs()
	if len(args) == 0 {
		return b.d.Errf("expected one value or more")
	}
	for _, arg := range args {
		b.lines[at+"/"+strconv.Itoa(len(all))] = b.d.Line()
		all = append(all, literal(arg, t))
	}
	object[key] = all
	return b.noBlock()
}

// cookieDomain reads DOMAIN [PORTAL], which may be repeated.
func (b *tree) cookieDomain(object map[string]any, key string) error {
	args := b.d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		return b.d.Errf("expected a domain, and the portal for it where there are several")
	}
	one := map[string]any{"domain": args[0]}
	if len(args) == 2 {
		one["portal"] = args[1]
	}
	all, _ := object[key].([]any)
	object[key] = append(all, one)
	return b.noBlock()
}

func (b *tree) scalar(object map[string]any, key string, t reflect.Type) error {
	args := b.d.RemainingArgs()
	switch {
	case key == "storage" && len(args) == 2: // storage badger DIRECTORY
		args = []string{args[0] + ":" + args[1]}
	case len(args) == 0 && (t.Kind() == reflect.Bool || t == reflect.TypeFor[guard.Assertion]()):
		args = []string{"on"}
	}
	if len(args) != 1 {
		return b.d.Errf("expected one value")
	}
	object[key] = literal(args[0], t)
	return b.noBlock()
}

func (b *tree) noBlock() error {
	for nesting := b.d.Nesting(); b.d.NextBlock(nesting); {
		return b.d.Errf("expected no block here")
	}
	return nil
}

// literal is the JSON value of an argument. What does not fit stays text: the
// decoder says what was expected.
func literal(arg string, t reflect.Type) any {
	switch t.Kind() {
	case reflect.Bool:
		switch arg {
		case "on", "true":
			return true
		case "off", "false":
			return false
		}
	case reflect.Int:
		if n, err := strconv.Atoi(arg); err == nil {
			return n
		}
	}
	return arg
}

// source is the tree as the decoder wants it.
func (b *tree) source(object map[string]any) (gateway.Source, error) {
	text, err := json.Marshal(object)
	return gateway.Source{File: b.d.File(), Lines: b.lines, JSON: text}, err
}
