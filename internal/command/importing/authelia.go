package importing

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// authelia reads the map `users` of Authelia's file. Each user is a block that
// is cut out by its indentation and read alone: so a file may have any length,
// a bad user stops nobody else, and nesting is bounded by the block's size.
func (r *Reader) authelia(yield func(Entry, error) bool) {
	var s splitter
	for l, err := range lines(r.in) {
		if err == nil {
			err = s.line(l)
		}
		if err != nil {
			yield(Entry{}, err)
			return
		}
		if s.done.first > 0 {
			s.users++
			if !yield(s.done.entry(), nil) {
				return
			}
		}
	}
	if s.open.first > 0 {
		s.users++
		if !yield(s.open.entry(), nil) {
			return
		}
	}
	switch {
	case s.maps > 0 && s.users == 0:
		yield(Entry{}, errors.New("there is no user below `users:`"))
	case s.maps == 0:
		yield(Entry{}, errors.New("there is no map `users:` at the beginning of a line: is this Authelia's file of users?"))
	}
}

// block is the YAML of one user.
type block struct {
	first   int // its first line; 0: there is no block
	text    []byte
	refused *Refusal
}

// splitter cuts a file into blocks.
type splitter struct {
	maps   int // how many `users:` there were
	users  int // that were handed on
	inside bool
	indent int   // of a user's name; 0: not known yet
	open   block // the one that is being read
	done   block // the one that ended with the last line
}

// usersLine reports whether a line begins the map, and whether users stand
// behind it on the same line.
func usersLine(text []byte) (is, inline bool) {
	rest, ok := bytes.CutPrefix(text, []byte("users:"))
	if !ok || len(rest) > 0 && rest[0] != ' ' && rest[0] != '\t' {
		return false, false
	}
	rest = bytes.TrimSpace(rest)
	return true, len(rest) > 0 && rest[0] != '#' && string(rest) != "{}"
}

// line takes the next line of the file.
func (s *splitter) line(l line) error {
	s.done = block{}
	indent := len(l.text) - len(bytes.TrimLeft(l.text, " "))
	blank := indent == len(l.text)
	if !blank && l.text[indent] == '\t' {
		if len(bytes.TrimSpace(l.text)) > 0 {
			return fmt.Errorf("line %d is indented with a tab: YAML is indented with spaces alone", l.number)
		}
		blank = true
	}
	if !blank && indent == 0 && l.text[0] != '#' {
		return s.top(l)
	}
	if !s.inside || s.indent == 0 && (blank || l.text[indent] == '#') {
		return nil
	}
	if s.indent == 0 {
		s.indent = indent
	}
	switch {
	case !blank && indent == s.indent && l.text[indent] != '#':
		s.done, s.open = s.open, block{first: l.number}
	case !blank && indent < s.indent && l.text[indent] != '#':
		s.open.refused = refuse("malformed", "line %d is indented less than the users' names", l.number)
	}
	s.open.add(l, s.indent)
	return nil
}

// top takes a line that begins at the left margin.
func (s *splitter) top(l line) error {
	s.done, s.open = s.open, block{}
	is, inline := usersLine(l.text)
	switch {
	case inline:
		return fmt.Errorf("line %d: write each user on lines of its own below `users:`", l.number)
	case is && s.maps > 0:
		return fmt.Errorf("line %d: a second `users:`; a file has one", l.number)
	case is:
		s.maps++
	}
	s.inside, s.indent = is, 0
	return nil
}

// add appends a line, less the indentation of all users.
func (b *block) add(l line, indent int) {
	switch {
	case l.long:
		b.refused = tooLong()
	case len(b.text)+len(l.text) > maxEntry:
		b.refused = refuse("too_large", "this user has more than %d bytes", maxEntry)
	case b.refused == nil:
		b.text = append(append(b.text, l.text[min(indent, len(l.text)):]...), '\n')
	}
}

func (b *block) entry() Entry {
	e := Entry{Place: fmt.Sprintf("line %d", b.first), Refused: b.refused}
	if e.Refused == nil {
		e.Refused = readable(line{text: b.text})
	}
	if e.Refused == nil {
		e.Refused = e.authelia(b.text)
	}
	if e.Name == "" { // of a block that cannot be read, so that people find it
		name, _, _ := strings.Cut(string(b.text), ":")
		e.Name = strings.Trim(name, ` '"`)
	}
	return e
}

// notYAML is the one answer to a block that is no YAML: the parser's own
// messages quote the file.
func notYAML() *Refusal {
	return refuse("malformed", "this user cannot be read as YAML: check indentation, colons and quotes (anchors and merge keys are not read)")
}

// authelia reads a block: one name and a map of what belongs to it. Keys that
// have no meaning here are passed over.
func (e *Entry) authelia(text []byte) (refused *Refusal) {
	defer func() {
		if recover() != nil { // the parser is not ours, and neither is the file
			refused = notYAML()
		}
	}()
	file, err := parser.ParseBytes(text, 0)
	if err != nil || len(file.Docs) != 1 {
		return notYAML()
	}
	users := pairs(file.Docs[0].Body)
	if len(users) != 1 {
		return notYAML()
	}
	name, ok := scalar(users[0].Key)
	fields := pairs(users[0].Value)
	if !ok || len(fields) == 0 {
		return notYAML()
	}
	e.Name = name
	hash := ""
	for _, field := range fields {
		key, ok := scalar(field.Key)
		if !ok {
			return notYAML()
		}
		switch key {
		case "displayname":
			ok = textOf(field.Value, &e.FullName)
		case "email":
			ok = textOf(field.Value, &e.Email)
		case "password":
			ok = textOf(field.Value, &hash)
		case "groups":
			e.Groups, ok = list(field.Value)
		case "disabled":
			e.Disabled, ok = truth(field.Value)
		}
		if !ok {
			return refuse("malformed", "%s holds another kind of value than expected", key)
		}
	}
	hash = strings.TrimPrefix(hash, "{CRYPT}") // of versions before 4.38
	e.PasswordHash = secret.NewText(hash)
	return hashRefusal(hash)
}

// pairs are those of a map; nil for what is none.
func pairs(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// scalar is the text of a value that is neither list nor map, as it is written.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), true
	case *ast.NullNode:
		return "", true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return strings.TrimSpace(n.GetToken().Origin), true
	}
	return "", false
}

func textOf(n ast.Node, to *string) (ok bool) {
	*to, ok = scalar(n)
	return ok
}

func list(n ast.Node) (*[]string, bool) {
	texts := []string{}
	switch n := n.(type) {
	case *ast.NullNode:
		return &texts, true
	case *ast.SequenceNode:
		for _, value := range n.Values {
			text, ok := scalar(value)
			if !ok {
				return nil, false
			}
			texts = append(texts, text)
		}
		return &texts, true
	}
	return nil, false
}

func truth(n ast.Node) (*bool, bool) {
	if b, ok := n.(*ast.BoolNode); ok {
		return &b.Value, true
	}
	return nil, false
}
