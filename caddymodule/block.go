package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/sallyport-auth/sallyport/internal/gateway"
	"github.com/sallyport-auth/sallyport/internal/guard"
)

// tree reads a block of a Caddyfile as the JSON of the type that it configures, so
// that each word of the configuration is a word of the Caddyfile too, and both are
// understood, and refused, by the same code. It remembers where each value stood
// and how it was called there, because mistakes are found after reading.
//
// A list is written as arguments, and may be repeated: the singular of its name
// will do (`group ops`, `realm staff`). A group of values is a block. A map of
// groups is a block with a name (`realm staff { … }`), a map of texts a name and a
// text (`code_life email 5m`). Yes-or-no words need no argument.
type tree struct {
	d      *caddyfile.Dispenser
	places []place
	lines  map[string]int // of a JSON pointer: an index into places, from 1
}

// place is where a value stood. Imported files have tokens of their own, so a line
// alone would not do.
type place struct {
	token caddyfile.Token
	key   string // the field's name
	word  string // what was written for it
}

// unmarshaler: types that read themselves.
var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// newTree stands on the first token, which is the place of all that has no other.
func newTree(d *caddyfile.Dispenser) *tree {
	return &tree{d: d, places: []place{{token: d.Token()}}, lines: map[string]int{"": 1}}
}

// note remembers that what a pointer points at begins here.
func (b *tree) note(pointer, key, word string) {
	if _, seen := b.lines[pointer]; !seen {
		b.places = append(b.places, place{b.d.Token(), key, word})
		b.lines[pointer] = len(b.places)
	}
}

// at returns an error that names the file and the line of a token, as Caddy does.
func at(token caddyfile.Token, err error) error {
	d := caddyfile.NewDispenser([]caddyfile.Token{token})
	d.Next()
	return d.WrapErr(err)
}

// block reads all words of a block into an object of type t.
func (b *tree) block(t reflect.Type, object map[string]any, pointer string) error {
	for nesting := b.d.Nesting(); b.d.NextBlock(nesting); {
		if err := b.word(t, object, pointer); err != nil {
			return err
		}
	}
	return nil
}

// word reads one word with its arguments and its block into the object.
func (b *tree) word(t reflect.Type, object map[string]any, pointer string) error {
	word := b.d.Val()
	if t == reflect.TypeFor[gateway.Config]() {
		if why := gateway.NotForRoutes(word); why != "" {
			return b.d.Err(why)
		}
	}
	key, field := lookUp(t, word)
	if field == nil {
		return b.d.Errf("unknown word %.60q%s", word, gateway.Suggestion(word, wordsOf(t)))
	}
	below := pointer + "/" + escape.Replace(key)
	b.note(below, key, word)
	return b.value(object, key, below, field)
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

// lookUp finds the field that a word means, by its name or by its singular.
func lookUp(t reflect.Type, word string) (key string, field reflect.Type) {
	for _, f := range fieldsOf(t) {
		if word == f.key || word == f.singular {
			return f.key, f.kind
		}
	}
	return "", nil
}

// field is a word of a block: its name, and the singular of a list's.
type field struct {
	key, singular string
	kind          reflect.Type
}

func fieldsOf(t reflect.Type) (fields []field) {
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "" || tag == "-" || !f.IsExported() {
			continue
		}
		word := field{key: tag, singular: tag, kind: f.Type}
		if kind := f.Type.Kind(); (kind == reflect.Slice || kind == reflect.Map) && tag != "cors" { // which is no plural
			word.singular = strings.TrimSuffix(tag, "s")
			if stem, ok := strings.CutSuffix(tag, "ies"); ok {
				word.singular = stem + "y"
			}
		}
		fields = append(fields, word)
	}
	return fields
}

// wordsOf are the words that may stand in a block, for whoever mistook one.
func wordsOf(t reflect.Type) (words []string) {
	for _, f := range fieldsOf(t) {
		if t == reflect.TypeFor[gateway.Config]() && gateway.NotForRoutes(f.key) != "" {
			continue
		}
		words = append(words, f.singular)
	}
	slices.Sort(words)
	return words
}

func (b *tree) value(object map[string]any, key, pointer string, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Slice && t.Kind() != reflect.Map {
		if _, twice := object[key]; twice {
			return b.d.Errf("%s stands twice", b.d.Val())
		}
	}
	if t == reflect.TypeFor[gateway.CookieDomains]() {
		return b.cookieDomain(object, key, pointer)
	}
	if t == reflect.TypeFor[gateway.SMS]() && b.d.CountRemainingArgs() > 0 { // sms log
		return b.scalar(object, key, t)
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return b.scalar(object, key, t)
	}
	switch t.Kind() {
	case reflect.Struct:
		inner, err := b.whole(t, pointer)
		object[key] = inner
		return err
	case reflect.Map:
		if t.Elem().Kind() == reflect.String || reflect.PointerTo(t.Elem()).Implements(unmarshaler) {
			return b.pair(object, key, pointer)
		}
		return b.named(object, key, pointer, t.Elem())
	case reflect.Slice:
		return b.list(object, key, pointer, t.Elem())
	}
	return b.scalar(object, key, t)
}

// whole reads a group of values: a block and no arguments.
func (b *tree) whole(t reflect.Type, pointer string) (map[string]any, error) {
	word := b.d.Val()
	if b.d.NextArg() {
		return nil, b.d.Errf("%s: expected a block with one word a line", word)
	}
	inner := map[string]any{}
	return inner, b.block(t, inner, pointer)
}

// named reads NAME { … } into a map.
func (b *tree) named(object map[string]any, key, pointer string, t reflect.Type) error {
	word, args := b.d.Val(), b.d.RemainingArgs()
	if len(args) != 1 {
		return b.d.Errf("%s: expected a name, and a block where there is more to say", word)
	}
	all, _ := object[key].(map[string]any)
	if all == nil {
		all = map[string]any{}
		object[key] = all
	}
	if _, twice := all[args[0]]; twice {
		return b.d.Errf("%s %.64q stands twice", word, args[0])
	}
	below := pointer + "/" + escape.Replace(args[0])
	b.note(below, key, word)
	inner := map[string]any{}
	all[args[0]] = inner
	return b.block(t, inner, below)
}

// pair reads NAME TEXT into a map.
func (b *tree) pair(object map[string]any, key, pointer string) error {
	word, args := b.d.Val(), b.d.RemainingArgs()
	if len(args) != 2 {
		return b.d.Errf("%s: expected a name and a text", word)
	}
	all, _ := object[key].(map[string]any)
	if all == nil {
		all = map[string]any{}
		object[key] = all
	}
	if _, twice := all[args[0]]; twice {
		return b.d.Errf("%s %.64q stands twice", word, args[0])
	}
	b.note(pointer+"/"+escape.Replace(args[0]), key, word)
	all[args[0]] = args[1]
	return b.noBlock(word)
}

func (b *tree) list(object map[string]any, key, pointer string, t reflect.Type) error {
	word := b.d.Val()
	all, _ := object[key].([]any)
	if t.Kind() == reflect.Struct {
		below := pointer + "/" + strconv.Itoa(len(all))
		b.note(below, key, word)
		inner, err := b.whole(t, below)
		object[key] = append(all, inner)
		return err
	}
	args := b.d.RemainingArgs()
	if len(args) == 0 {
		return b.d.Errf("%s: expected one value or more", word)
	}
	for _, arg := range args {
		b.note(pointer+"/"+strconv.Itoa(len(all)), key, word)
		value, err := literal(arg, t)
		if err != nil {
			return b.d.Errf("%s: %v", word, err)
		}
		all = append(all, value)
	}
	object[key] = all
	return b.noBlock(word)
}

// cookieDomain reads DOMAIN [PORTAL], which may be repeated.
func (b *tree) cookieDomain(object map[string]any, key, pointer string) error {
	word, args := b.d.Val(), b.d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		return b.d.Errf("%s: expected a domain, and its portal where there are several", word)
	}
	one := map[string]any{"domain": args[0]}
	if len(args) == 2 {
		one["portal"] = args[1]
	}
	all, _ := object[key].([]any)
	b.note(pointer+"/"+strconv.Itoa(len(all)), key, word)
	object[key] = append(all, one)
	return b.noBlock(word)
}

func (b *tree) scalar(object map[string]any, key string, t reflect.Type) error {
	word, args := b.d.Val(), b.d.RemainingArgs()
	switch {
	case key == "storage" && len(args) == 2: // storage badger DIRECTORY
		args = []string{args[0] + ":" + args[1]}
	case key == "mail" && len(args) == 2: // mail URL "NAME <ADDRESS>"
		args = []string{args[0] + " " + args[1]}
	case len(args) == 0 && (t.Kind() == reflect.Bool || t == reflect.TypeFor[guard.Assertion]()):
		args = []string{"on"}
	}
	if len(args) != 1 {
		return b.d.Errf("%s: expected one value", word)
	}
	value, err := literal(args[0], t)
	if err != nil {
		return b.d.Errf("%s: %v", word, err)
	}
	object[key] = value
	return b.noBlock(word)
}

// noBlock refuses a block, an empty one too.
func (b *tree) noBlock(word string) error {
	if b.d.NextBlock(b.d.Nesting()) || b.d.Val() == "}" {
		return b.d.Errf("%s: expected no block", word)
	}
	return nil
}

// literal is the JSON value of an argument.
func literal(arg string, t reflect.Type) (any, error) {
	switch t.Kind() {
	case reflect.Bool:
		switch arg {
		case "on", "true":
			return true, nil
		case "off", "false":
			return false, nil
		}
		return nil, errors.New("expected on or off")
	case reflect.Int:
		if reflect.PointerTo(t).Implements(unmarshaler) {
			break
		}
		n, err := strconv.Atoi(arg)
		if err != nil {
			return nil, errors.New("expected a whole number")
		}
		return n, nil
	}
	return arg, nil
}

// judged reads the object as the decoder will, to find mistakes where they are
// written. Values with placeholders are left out: they can be judged only where
// the configuration is loaded. whole: there were none.
func (b *tree) judged(object map[string]any) (source gateway.Source, whole bool, err error) {
	whole = true
	text, err := json.Marshal(without(object, &whole))
	if err != nil {
		return source, false, err
	}
	return gateway.Source{Lines: b.lines, JSON: text}, whole, nil
}

// without copies a value, without the texts below it that hold placeholders.
func without(value any, whole *bool) any {
	switch v := value.(type) {
	case map[string]any:
		kept := make(map[string]any, len(v))
		for key, inner := range v {
			if inner = without(inner, whole); inner != nil {
				kept[key] = inner
			}
		}
		return kept
	case []any:
		for _, inner := range v {
			if without(inner, whole) == nil {
				return nil
			}
		}
		kept := make([]any, len(v))
		for i := range v {
			kept[i] = without(v[i], whole)
		}
		return kept
	case string:
		if strings.Contains(v, "{env.") || strings.Contains(v, "{file.") {
			*whole = false
			return nil
		}
	}
	return value
}

// explain gives a mistake the place and the word that it was written with.
func (b *tree) explain(err error) error {
	var config *gateway.ConfigError
	var rule *guard.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &config):
		where := b.places[max(config.Line, 1)-1]
		return at(where.token, errors.New(where.spell(config.Text)))
	case errors.As(err, &rule):
		pointer := "/" + rule.Field
		if b.lines["/rules"] > 0 {
			pointer = fmt.Sprintf("/rules/%d/%s", rule.Rule-1, rule.Field)
		}
		if rule.Item > 0 {
			pointer += fmt.Sprintf("/%d", rule.Item-1)
		}
		for b.lines[pointer] == 0 {
			pointer = pointer[:strings.LastIndexByte(pointer, '/')]
		}
		where := b.places[b.lines[pointer]-1]
		return at(where.token, errors.New(where.spell(rule.Field+": "+rule.Text)))
	}
	return at(b.places[0].token, err)
}

// spell names a field as it was written: `realm`, where the text says realms.
func (p place) spell(text string) string {
	if p.key == "" || p.key == p.word {
		return text
	}
	if rest, ok := strings.CutPrefix(text, p.key+":"); ok {
		return p.word + ":" + rest
	}
	if before, rest, ok := strings.Cut(text, ": "+p.key+":"); ok && strings.HasPrefix(before, "rule ") {
		return before + ": " + p.word + ":" + rest
	}
	return text
}
