//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// makeOddTree makes 13 regular files below dir.
func makeOddTree(dir string) error {
	for _, name := range []string{
		"plain", "with space", "new\nline", `back\slash`, "carriage\rreturn", "not utf-8 \xff\xfe", "-dash", "tab\t", `"quoted"`,
		"sub/below", "sub.x", "sub/deeper/ä", "zero",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		content := strings.Repeat(name, 1000)
		if name == "zero" {
			content = ""
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			return err
		}
	}
	if err := os.Symlink("plain", filepath.Join(dir, "link")); err != nil {
		return err
	}
	if err := os.Symlink("sub", filepath.Join(dir, "dirlink")); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o777); err != nil {
		return err
	}
	return unix.Mkfifo(filepath.Join(dir, "fifo"), 0o666)
}
