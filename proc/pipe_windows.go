package proc

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/windows"
)

// handDown gives r to the child: its handle, which is the same number there, in
// the environment.
func handDown(cmd *exec.Cmd, r *os.File) error {
	h := windows.Handle(r.Fd())
	if err := windows.SetHandleInformation(h, windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT); err != nil {
		return err
	}
	var attr syscall.SysProcAttr
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr
	}
	attr.AdditionalInheritedHandles = append(attr.AdditionalInheritedHandles, syscall.Handle(h))
	cmd.SysProcAttr = &attr
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", envParent, h))
	return nil
}

// inherit opens what handDown gave.
func inherit(text string) (*os.File, error) {
	n, err := strconv.ParseUint(text, 10, strconv.IntSize)
	if err != nil {
		return nil, fmt.Errorf("%s is %q: it is for package proc to set (or start with Outlive)", envParent, text)
	}
	h := windows.Handle(n)
	if kind, err := windows.GetFileType(h); err != nil || kind != windows.FILE_TYPE_PIPE {
		return nil, fmt.Errorf("handle %d is not the parent's pipe: what stands between parent and child must leave it open (or start with Outlive)", n)
	}
	if err := windows.SetHandleInformation(h, windows.HANDLE_FLAG_INHERIT, 0); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(h), "parent"), nil
}
