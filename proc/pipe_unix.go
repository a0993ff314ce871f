//go:build unix

package proc

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// handDown gives r to the child: its descriptor there and its inode, in the
// environment.
func handDown(cmd *exec.Cmd, r *os.File) error {
	info, err := r.Stat()
	if err != nil {
		return err
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, r)
	const first = 3 // of ExtraFiles
	fd := first + len(cmd.ExtraFiles) - 1
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d:%d", envParent, fd, inode(info)))
	return nil
}

// inherit opens what handDown gave. The inode tells a descriptor that a
// program in between has closed, and perhaps used for something else.
func inherit(text string) (*os.File, error) {
	first, second, _ := strings.Cut(text, ":")
	fd, err := strconv.ParseUint(first, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("%s is %q: it is for package proc to set (or start with Outlive)", envParent, text)
	}
	ino, err := strconv.ParseUint(second, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s is %q: it is for package proc to set (or start with Outlive)", envParent, text)
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(int(fd), &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO || uint64(st.Ino) != ino {
		return nil, fmt.Errorf("descriptor %d is not the parent's pipe: what stands between parent and child must leave it open (or start with Outlive)", fd)
	}
	syscall.CloseOnExec(int(fd))
	return os.NewFile(uintptr(fd), "parent"), nil
}

func inode(info os.FileInfo) uint64 { return uint64(info.Sys().(*syscall.Stat_t).Ino) }
