package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// writeFiles puts a proxy's files below a directory, which is made where it is
// missing: /etc/nginx/conf.d/app.conf becomes nginx/conf.d/app.conf in it. It
// says where each belongs. A file that exists is never written over: then, and
// after any other failure, nothing is left of this call but directories.
func writeFiles(cmd *cobra.Command, dir string, files []ProxyFile) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of --out: %w", err)
	}
	// Below a Root no link in DIR leads the files elsewhere.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open the directory of --out: %w", err)
	}
	defer root.Close()
	var there []string
	for _, f := range files {
		switch _, err := root.Lstat(below(f)); {
		case err == nil:
			there = append(there, filepath.Join(dir, below(f)))
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("look for %s: %w", below(f), err)
		}
	}
	if there != nil {
		return fmt.Errorf("nothing was written, because these exist already: %s: name another directory, or move them away", strings.Join(there, ", "))
	}
	var written []string
	defer func() {
		if err != nil {
			for _, name := range written {
				err = errors.Join(err, root.Remove(name))
			}
		}
	}()
	rows := [][]string{{"WRITTEN", "BELONGS AT"}}
	for _, f := range files {
		name := below(f)
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return fmt.Errorf("make the directory of %s: %w", name, err)
		}
		file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		written = append(written, name)
		_, err = file.WriteString(f.Text)
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		rows = append(rows, []string{filepath.Join(dir, name), f.Path})
	}
	return table(cmd.OutOrStdout(), rows)
}

// below is where a file lies in the directory of --out.
func below(f ProxyFile) string {
	return strings.TrimPrefix(strings.TrimPrefix(path.Clean(f.Path), "/etc"), "/")
}
