package gateway

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// NotForRoutes is the sentence about a word that a server with routes of its own
// does not take; "" for all others.
func NotForRoutes(word string) string {
	switch word {
	case "listen", "upstream", "log", "metrics":
		return word + " is for the standalone server; the server around this one has its own"
	}
	return ""
}

func suggestion(name string, t reflect.Type) string { return Suggestion(name, keysOf(t)) }

// Suggestion goes on behind `unknown word "x"`: which of the known ones was probably
// meant, or all there are.
func Suggestion(name string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	best, distance := "", 3
	for _, k := range known {
		if d := editDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf(": did you mean %q?", best)
	}
	return ": expected one of " + strings.Join(known, ", ")
}

func keysOf(t reflect.Type) []string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && tag != "" && tag != "-" {
			keys = append(keys, tag)
		}
	}
	slices.Sort(keys)
	return keys
}

// editDistance is Levenshtein's, for short words.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
