package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/guard"
)

// maxPlaceholderFile bounds what {file.PATH} reads, in bytes: a secret, not a
// device that never ends.
const maxPlaceholderFile = 64 << 10

// Expand replaces every {env.NAME} and {file.PATH} in a configured string. One
// trailing newline of a file is dropped. An unset variable and a file that
// cannot be read are errors: an empty secret would be worse than no start.
// Other braces stay as they are, and what was inserted is not expanded again,
// so nobody who can write a secret can read another one through it.
func Expand(text string) (string, error) {
	var in inserted
	return in.expand(text)
}

// inserted are the values that placeholders stood for. Errors never hold one: what
// was meant to be a secret may stand in the wrong place.
type inserted []string

func (in *inserted) expand(text string) (string, error) {
	var out strings.Builder
	rest := text
	for {
		at := strings.IndexByte(rest, '{')
		if at < 0 {
			out.WriteString(rest)
			return out.String(), nil
		}
		out.WriteString(rest[:at])
		rest = rest[at:]
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			out.WriteString(rest)
			return out.String(), nil
		}
		value, known, err := placeholder(rest[1:end])
		switch {
		case err != nil:
			return "", err
		case known:
			*in = append(*in, value)
			out.WriteString(value)
			rest = rest[end+1:]
		default:
			out.WriteByte('{')
			rest = rest[1:]
		}
	}
}

// hide takes the text out of an error that holds an inserted value, or the
// beginning of one. Values too short to be a secret are not looked for.
func (in inserted) hide(err error) error {
	const least, enough = 6, 16
	if err == nil {
		return nil
	}
	text := strings.ToLower(err.Error())
	holds := func(value string) bool {
		value = strings.ToLower(value[:min(len(value), enough)])
		return len(value) >= least && (strings.Contains(text, value) || strings.Contains(text, strings.Trim(strconv.QuoteToASCII(value), `"`)))
	}
	if !slices.ContainsFunc(in, holds) {
		return err
	}
	const instead = "what a placeholder stands for here is not what was expected"
	var config *ConfigError
	var rule *guard.Error
	switch {
	case errors.As(err, &config):
		return &ConfigError{File: config.File, Line: config.Line, Text: instead}
	case errors.As(err, &rule):
		return &guard.Error{Rule: rule.Rule, Field: rule.Field, Item: rule.Item, Text: instead}
	}
	return errors.New(instead)
}

// hideAll does the same with sentences.
func (in inserted) hideAll(texts []string) []string {
	for i, text := range texts {
		texts[i] = in.hide(errors.New(text)).Error()
	}
	return texts
}

func placeholder(name string) (value string, known bool, err error) {
	if variable, ok := strings.CutPrefix(name, "env."); ok {
		value, set := os.LookupEnv(variable)
		if !set {
			return "", true, fmt.Errorf("the environment variable %s is not set", variable)
		}
		return value, true, nil
	}
	if path, ok := strings.CutPrefix(name, "file."); ok {
		value, err := readSmall(path)
		return value, true, err
	}
	return "", false, nil
}

func readSmall(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("a {file.…} cannot be read: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxPlaceholderFile+1))
	if err != nil {
		return "", fmt.Errorf("a {file.…} cannot be read: %w", err)
	}
	if len(content) > maxPlaceholderFile {
		return "", fmt.Errorf("the file %s is larger than %d bytes", path, maxPlaceholderFile)
	}
	content = bytes.TrimSuffix(content, []byte("\n"))
	return string(bytes.TrimSuffix(content, []byte("\r"))), nil
}
