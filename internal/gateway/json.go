package gateway

import (
	"strconv"

	"github.com/go-json-experiment/json"
)

// Source is a configuration that is JSON already, from a shell with a syntax of
// its own.
type Source struct {
	File  string         // what errors name; "": nothing
	Lines map[string]int // the line of a JSON pointer in File, as far as known
	JSON  []byte
	// Expand replaces {env.NAME} and {file.PATH}. Without it they stay as they
	// are: for those who only read the form.
	Expand bool
}

// Decode reads a configuration, as strictly as Parse does.
func Decode(s Source) (Config, error) {
	var c Config
	conv, err := s.into(&c)
	if err != nil {
		return Config{}, err
	}
	c.file, c.lines, c.inserted = s.File, s.Lines, conv.inserted
	return c, nil
}

// Into reads a part of a configuration into what to points at, such as a rule.
// Errors are *ConfigError.
func (s Source) Into(to any) error {
	_, err := s.into(to)
	return err
}

// Hide takes the text out of an error about what was read with Expand, where it
// holds what a placeholder stood for.
func (s Source) Hide(err error) error {
	if err == nil {
		return nil
	}
	var tree any
	conv, failed := s.into(&tree)
	if failed != nil {
		return failed
	}
	return conv.inserted.hide(err)
}

func (s Source) into(to any) (*converter, error) {
	conv := &converter{file: s.File, lines: s.Lines}
	text := s.JSON
	if len(text) == 0 {
		text = []byte("{}")
	}
	if s.Expand {
		var tree any
		if err := json.Unmarshal(text, &tree); err != nil {
			return nil, &ConfigError{File: s.File, Text: "this configuration is not JSON, or a key stands twice in it"}
		}
		tree, err := conv.expand(tree, "")
		if err != nil {
			return nil, err
		}
		if text, err = json.Marshal(tree); err != nil {
			return nil, &ConfigError{File: s.File, Text: "this configuration cannot be read"}
		}
	}
	if err := json.Unmarshal(text, to, json.RejectUnknownMembers(true)); err != nil {
		return nil, conv.inserted.hide(conv.explain(err))
	}
	return conv, nil
}

// expand replaces the placeholders in all texts below a value.
func (c *converter) expand(value any, at string) (any, error) {
	var err error
	switch v := value.(type) {
	case string:
		text, err := c.inserted.expand(v)
		if err != nil {
			return nil, &ConfigError{File: c.file, Line: c.lineOf(at), Text: inSentence(word(at), err.Error())}
		}
		return text, nil
	case []any:
		for i := range v {
			if v[i], err = c.expand(v[i], at+"/"+strconv.Itoa(i)); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key := range v {
			if v[key] == nil && at == "/compat" { // a facade that is named is on, as in YAML
				v[key] = map[string]any{}
			}
			if v[key], err = c.expand(v[key], at+"/"+pointerEscape.Replace(key)); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}
