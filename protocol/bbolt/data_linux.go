package bbolt

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData puts the content of a file on disk, whose size has not changed. What
// is synced is the file, however it was written.
func syncData(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|safely, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("fdatasync", unix.Fdatasync(int(f.Fd())))
}
