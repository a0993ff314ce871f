//go:build unix && !linux && !darwin

package process

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Start is always 0 on this system: not known.
func Start(pid int) (uint64, error) {
	if !answers(pid) {
		return 0, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	return 0, nil
}

// parent is not known on this system.
func parent(int) (int, error) { return 0, errors.ErrUnsupported }

// Alive says whether the process runs. On this system a zombie cannot be told
// from a process that does, nor a stranger under its pid.
func Alive(id ID) bool { return id.PID > 0 && answers(id.PID) }

func startTime(int) (time.Time, bool) { return time.Time{}, false }
