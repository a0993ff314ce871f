package unixsocket

import "golang.org/x/sys/unix"

const proves = false

// credentials says which user made the other end. The pid is 0: not known.
func credentials(fd int) (pid, uid int, err error) {
	c, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, 0, err
	}
	return 0, int(c.Uid), nil
}
