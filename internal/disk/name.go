package disk

import (
	"io/fs"
	"os"
	"strings"
)

// check refuses what is not the name of something directly in a directory.
func check(name string) error {
	if name == "" || name == "." || name == ".." ||
		strings.IndexByte(name, 0) >= 0 || strings.IndexByte(name, '/') >= 0 ||
		os.PathSeparator != '/' && strings.ContainsRune(name, os.PathSeparator) {
		return fs.ErrInvalid
	}
	return nil
}

// join makes the path of a name for an error's text.
func join(dir, name string) string {
	if name == "" {
		return dir
	}
	return dir + string(os.PathSeparator) + name
}

func fail(op, dir, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: join(dir, name), Err: err}
}
