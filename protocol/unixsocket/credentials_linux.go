package unixsocket

import "golang.org/x/sys/unix"

const proves = true

// credentials says who made the other end: who called connect, or listen.
func credentials(fd int) (pid, uid int, err error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, err
	}
	return int(c.Pid), int(c.Uid), nil
}
