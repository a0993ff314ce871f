package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// file is one to be hashed. Its path is as find(1) would print it: bytes of
// any kind.
type file struct {
	path string
	size int64 // when it was found
}

// fault says what could not be read, and why.
type fault struct{ path, why string }

// walk lists the regular files below the directory, sorted by their path's
// bytes. What vanishes meanwhile is not listed.
func (d *demo) walk(ctx context.Context) error {
	root, err := os.Stat(d.dir)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if !root.IsDir() {
		if root, err = os.Lstat(d.dir); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		switch mode := root.Mode(); {
		case mode&fs.ModeSymlink != 0:
			return fmt.Errorf("demo: %q is a link, and to no directory: name what it leads to", d.dir)
		case !mode.IsRegular():
			return fmt.Errorf("demo: %q is neither a directory nor a regular file", d.dir)
		}
		d.files, d.listed = []file{{d.dir, root.Size()}}, 1
		return nil
	}
	dirs := []string{d.dir}
	d.listed = 1
	for len(dirs) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		last := len(dirs) - 1
		dir := dirs[last]
		dirs = append(dirs[:last], d.list(dir)...)
		d.progress.found(len(d.files))
	}
	slices.SortFunc(d.files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return nil
}

// list takes in the files of one directory and returns the directories in it.
func (d *demo) list(dir string) (dirs []string) {
	entries, err := os.ReadDir(dir)
	if err != nil && !(errors.Is(err, fs.ErrNotExist) && dir != d.dir) {
		d.unreadable = append(d.unreadable, fault{dir, reason(err)})
	}
	prefix := dir
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	for _, e := range entries {
		path := prefix + e.Name()
		switch {
		case e.IsDir():
			dirs = append(dirs, path)
			d.listed++
		case e.Type().IsRegular():
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			d.listed++
			if err != nil {
				d.unreadable = append(d.unreadable, fault{path, reason(err)})
				continue
			}
			d.files = append(d.files, file{path, info.Size()})
		}
	}
	return dirs
}

// reason is an error without the path that it is about.
func reason(err error) string {
	if e := new(fs.PathError); errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}
