package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxConfigFile bounds a configuration file, in bytes.
const maxConfigFile = 1 << 20

// ConfigError is a mistake in a configuration: where, and what was expected.
// Its text never holds a value or a line of the file, where secrets stand.
type ConfigError struct {
	File string // empty: not from a file
	Line int    // from 1; 0: the file as a whole
	Text string
}

func (e *ConfigError) Error() string {
	switch {
	case e.File == "":
		return e.Text
	case e.Line == 0:
		return e.File + ": " + e.Text
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

// Load reads a configuration file: one strict YAML document. Unknown keys, a
// second document, an unset {env.…} and a missing {file.…} are a *ConfigError.
func Load(file string) (Config, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(file, content)
}

// Parse is Load for content that was read already; file names it in errors.
func Parse(file string, content []byte) (Config, error) {
	var c Config
	if len(content) > maxConfigFile {
		return c, &ConfigError{File: file, Text: fmt.Sprintf("larger than %d bytes", maxConfigFile)}
	}
	doc, err := document(file, content)
	if err != nil || doc == nil {
		return c, err
	}
	conv := converter{file: file, lines: map[string]int{}, anchors: map[string]ast.Node{}}
	var buf bytes.Buffer
	enc := jsontext.NewEncoder(&buf)
	if err := conv.write(enc, doc, ""); err != nil {
		return c, err
	}
	if err := json.Unmarshal(buf.Bytes(), &c, json.RejectUnknownMembers(true)); err != nil {
		return Config{}, conv.inserted.hide(conv.explain(err))
	}
	c.file, c.lines, c.inserted = file, conv.lines, conv.inserted
	return c, nil
}

// document returns the body of the only document, nil when there is none.
func document(file string, content []byte) (ast.Node, error) {
	parsed, err := parser.ParseBytes(content, 0, parser.AllowDuplicateMapKey()) // mapping finds them, and names them
	if err != nil {
		return nil, syntaxError(file, content, err)
	}
	var body ast.Node
	for _, doc := range parsed.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			return nil, &ConfigError{File: file, Line: line(doc.Body), Text: "a second document begins here, and would be ignored: a configuration is one document"}
		}
		body = doc.Body
	}
	return body, nil
}

// syntaxError says where. The parser's own message may quote the file.
func syntaxError(file string, content []byte, err error) error {
	var where interface{ GetToken() *token.Token }
	e := &ConfigError{File: file, Text: "this is not YAML"}
	if errors.As(err, &where) && where.GetToken() != nil && where.GetToken().Position != nil {
		e.Line = where.GetToken().Position.Line
		e.Text = "this is not YAML here or shortly before (check indentation, colons, and that values which begin with *, @ or { have quotes)"
		for _, n := range []int{e.Line, e.Line - 1} { // after a bad line the parser may complain about the next one
			if tabbed(content, n) {
				e.Line, e.Text = n, "a tab stands at the beginning of this line: YAML is indented with spaces alone"
				break
			}
		}
	}
	return e
}

// tabbed reports whether a tab indents a line, counted from 1.
func tabbed(content []byte, number int) bool {
	lines := bytes.Split(content, []byte("\n"))
	if number < 1 || number > len(lines) {
		return false
	}
	text := lines[number-1]
	return bytes.IndexByte(text[:len(text)-len(bytes.TrimLeft(text, " \t"))], '\t') >= 0
}

func line(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// converter writes a YAML tree as JSON, placeholders replaced, and remembers
// on which line each JSON pointer stood.
type converter struct {
	file    string
	lines   map[string]int
	anchors map[string]ast.Node
	depth   int

	inserted inserted
}

// maxDepth bounds nesting, aliases included, so that no file recurses forever.
const maxDepth = 32

func (c *converter) fail(n ast.Node, format string, args ...any) error {
	return &ConfigError{File: c.file, Line: line(n), Text: fmt.Sprintf(format, args...)}
}

func (c *converter) write(enc *jsontext.Encoder, n ast.Node, at string) error {
	if c.depth++; c.depth > maxDepth {
		return c.fail(n, "nested too deeply")
	}
	defer func() { c.depth-- }()
	if _, seen := c.lines[at]; !seen {
		c.lines[at] = line(n)
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return c.mapping(enc, n, n.Values, at)
	case *ast.MappingValueNode:
		return c.mapping(enc, n, []*ast.MappingValueNode{n}, at)
	case *ast.SequenceNode:
		return c.sequence(enc, n, at)
	case *ast.StringNode:
		return c.text(enc, n, n.Value)
	case *ast.LiteralNode:
		return c.text(enc, n, n.Value.Value)
	case *ast.NullNode:
		if strings.HasPrefix(at, "/compat/") && strings.Count(at, "/") == 2 { // a facade that is named is on
			return enc.WriteValue(jsontext.Value("{}"))
		}
		return enc.WriteToken(jsontext.Null)
	case *ast.BoolNode:
		return enc.WriteToken(jsontext.Bool(n.Value))
	case *ast.IntegerNode:
		return enc.WriteValue(jsontext.Value(fmt.Sprint(n.Value)))
	case *ast.FloatNode:
		return enc.WriteToken(jsontext.Float(n.Value))
	case *ast.AnchorNode:
		c.anchors[n.Name.GetToken().Value] = n.Value
		return c.write(enc, n.Value, at)
	case *ast.AliasNode:
		target, ok := c.anchors[n.Value.GetToken().Value]
		if !ok {
			return c.fail(n, "put quotes around a value that begins with * (without them it is an alias, and no anchor of that name stands above)")
		}
		return c.write(enc, target, at)
	}
	return c.fail(n, "this kind of YAML value (%s) has no meaning here", n.Type())
}

func (c *converter) text(enc *jsontext.Encoder, n ast.Node, text string) error {
	expanded, err := c.inserted.expand(text)
	if err != nil {
		return c.fail(n, "%v", err)
	}
	if err := enc.WriteToken(jsontext.String(expanded)); err != nil {
		return c.fail(n, "this text is not valid UTF-8")
	}
	return nil
}

func (c *converter) sequence(enc *jsontext.Encoder, n *ast.SequenceNode, at string) error {
	if err := enc.WriteToken(jsontext.BeginArray); err != nil {
		return err
	}
	for i, value := range n.Values {
		if err := c.write(enc, value, at+"/"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndArray)
}

func (c *converter) mapping(enc *jsontext.Encoder, n ast.Node, values []*ast.MappingValueNode, at string) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, pair := range values {
		key, err := c.key(pair)
		if err != nil {
			return err
		}
		below := at + "/" + pointerEscape.Replace(key)
		if err := enc.WriteToken(jsontext.String(key)); errors.Is(err, jsontext.ErrDuplicateName) {
			return c.fail(pair.Key, "the key %.40q stands twice, first on line %d: leave one of the two out", key, c.lines[below])
		} else if err != nil {
			return c.fail(pair.Key, "this key is not valid UTF-8")
		}
		c.lines[below] = line(pair.Key)
		if err := c.write(enc, pair.Value, below); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

func (c *converter) key(pair *ast.MappingValueNode) (string, error) {
	if pair.Key.IsMergeKey() {
		return "", c.fail(pair, "merge keys (<<) have no meaning here")
	}
	text, ok := pair.Key.(*ast.StringNode)
	if !ok {
		return "", c.fail(pair, "a key must be a word")
	}
	if strings.HasPrefix(text.Value, "env.") || strings.HasPrefix(text.Value, "file.") {
		return "", c.fail(pair, "put quotes around a value that begins with {env.…} or {file.…}")
	}
	return text.Value, nil
}

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

// explain turns an error of the JSON decoder into a line and a sentence that
// holds no value of the file.
func (c *converter) explain(err error) error {
	var bad *json.SemanticError
	if !errors.As(err, &bad) {
		return &ConfigError{File: c.file, Text: "this configuration cannot be read"}
	}
	at := string(bad.JSONPointer)
	e := &ConfigError{File: c.file, Line: c.lineOf(at)}
	name := word(at)
	var inner *ConfigError
	switch {
	case errors.Is(err, json.ErrUnknownName):
		e.Text = fmt.Sprintf("unknown key %.60q%s", name, suggestion(name, bad.GoType))
	case errors.As(bad.Err, &inner):
		e.Text = inSentence(name, inner.Text)
	case bad.Err != nil && customReader(bad.GoType):
		e.Text = inSentence(name, bad.Err.Error())
	default:
		expected := kindOf(bad.GoType)
		if words := bareNumbers[at]; words != "" {
			expected = words
		}
		e.Text = inSentence(name, "expected "+expected)
	}
	return e
}

// bareNumbers say what is expected where people write a port alone, which is
// missing more than quotes.
var bareNumbers = map[string]string{
	"/listen":  "HOST:PORT such as 127.0.0.1:9091, or unix:PATH",
	"/metrics": "HOST:PORT such as 127.0.0.1:9092, or unix:PATH",
}

func inSentence(name, text string) string {
	if name == "" {
		return text
	}
	return name + ": " + text
}

// lineOf finds the line of a pointer, or of the nearest one above it.
func (c *converter) lineOf(at string) int {
	for {
		if n, ok := c.lines[at]; ok && n > 0 {
			return n
		}
		cut := strings.LastIndexByte(at, '/')
		if cut < 0 {
			return 0
		}
		at = at[:cut]
	}
}

// word is the last key on a pointer, indices left out.
func word(at string) string {
	parts := strings.Split(at, "/")
	for i := len(parts) - 1; i > 0; i-- {
		if _, err := strconv.Atoi(parts[i]); err != nil {
			return strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[i])
		}
	}
	return ""
}

// customReader says whether a type reads itself, so that its error is one of
// our own sentences and not a library's that echoes the value.
func customReader(t reflect.Type) bool {
	return t != nil && strings.Contains(t.PkgPath(), "sallyport")
}

func kindOf(t reflect.Type) string {
	if t == nil {
		return "another kind of value"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.String:
		return "a text (a number that is meant as one needs quotes)"
	case reflect.Slice, reflect.Array:
		return "a list, such as [a, b]"
	case reflect.Struct, reflect.Map:
		return "keys with values below it"
	}
	return "another kind of value"
}
