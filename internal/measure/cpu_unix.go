//go:build unix

package measure

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuSeconds is how long processors have worked for this process.
func cpuSeconds() float64 {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return 0 // it fails for wrong arguments only
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}
