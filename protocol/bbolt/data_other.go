//go:build !linux

package bbolt

import "os"

// syncData puts the content of a file on disk. What is synced is the file,
// however it was written.
func syncData(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|safely, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
