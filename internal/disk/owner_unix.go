//go:build unix && ipcmgr_fallback

package disk

import (
	"os"
	"syscall"
)

func owner(info os.FileInfo) (uid int, inode uint64) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, 0
	}
	return int(st.Uid), uint64(st.Ino)
}
