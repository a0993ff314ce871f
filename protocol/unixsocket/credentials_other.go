//go:build unix && !linux && !darwin && !freebsd

package unixsocket

import "errors"

const proves = false

// credentials cannot be had here, so every connection is refused.
func credentials(int) (pid, uid int, err error) { return 0, 0, errors.ErrUnsupported }
