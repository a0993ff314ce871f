//go:build !ipcmgr_fallback

package disk

import "golang.org/x/sys/unix"

// fsync empties the drive's own cache too, which fsync(2) does not on macOS.
func fsync(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_FULLFSYNC, 0)
	return err
}
