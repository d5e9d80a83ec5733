// Command buildcaddy builds Caddy with xcaddy and exactly the values of a file in
// the shape of xcaddy.Builder: buildcaddy FILE OUTPUT, in the root of the checkout.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/caddyserver/xcaddy"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: buildcaddy FILE OUTPUT")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := build(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "buildcaddy:", err)
		os.Exit(1)
	}
}

func build(ctx context.Context, file, output string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	var b xcaddy.Builder
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&b); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	// xcaddy builds in a directory of its own, where a relative path means nothing;
	// its command line does the same.
	for i, r := range b.Replacements {
		if !strings.HasPrefix(string(r.New), ".") {
			continue
		}
		path, err := filepath.Abs(string(r.New))
		if err != nil {
			return err
		}
		b.Replacements[i].New = xcaddy.ReplacementPath(path)
	}
	if output, err = filepath.Abs(output); err != nil {
		return err
	}
	return b.Build(ctx, output)
}
