//go:build unix && !darwin && !ipcmgr_fallback

package disk

import "golang.org/x/sys/unix"

func fsync(fd int) error { return unix.Fsync(fd) }
