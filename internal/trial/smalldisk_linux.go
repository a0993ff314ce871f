package trial

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// OnSmallDisk lets a command that is about to start mount a disk that it alone
// sees, and that goes with it. Who is not root has to be allowed user
// namespaces.
func OnSmallDisk(cmd *exec.Cmd) {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
}

// MountSmallDisk mounts one of size bytes at dir, in a process that OnSmallDisk
// has prepared.
func MountSmallDisk(dir string, size int) error {
	// Or the mount would be seen where the process came from.
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		return fmt.Errorf("mount a disk of %d bytes: %w", size, err)
	}
	return nil
}
