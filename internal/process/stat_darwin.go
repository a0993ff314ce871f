package process

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// zombie is SZOMB of sys/proc.h.
const zombie = 5

// Start is when the process under pid started, in microseconds since the
// epoch. An error that matches os.ErrProcessDone when there is none.
func Start(pid int) (uint64, error) {
	_, start, err := readProc(pid)
	return start, err
}

// Alive says whether the process runs. A zombie does not.
func Alive(id ID) bool {
	if id.PID <= 0 {
		return false
	}
	state, start, err := readProc(id.PID)
	if err != nil {
		return answers(id.PID)
	}
	return state != zombie && (id.Start == 0 || id.Start == start)
}

func startTime(pid int) (time.Time, bool) {
	start, err := Start(pid)
	return time.UnixMicro(int64(start)), err == nil
}

func readProc(pid int) (state int8, start uint64, err error) {
	proc, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(proc.Proc.P_pid) != pid {
		return 0, 0, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	t := proc.Proc.P_starttime
	return proc.Proc.P_stat, uint64(t.Sec)*1e6 + uint64(t.Usec), nil
}
