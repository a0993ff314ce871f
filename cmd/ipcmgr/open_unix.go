//go:build unix

package main

import (
	"os"
	"syscall"
)

// openAtOnce opens a file for reading; it neither waits for the writer of a
// pipe nor follows a link.
func openAtOnce(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
}
