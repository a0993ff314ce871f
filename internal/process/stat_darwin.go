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
	p, err := readProc(pid)
	return p.start, err
}

// parent is the pid of the process that the one under pid is a child of now.
func parent(pid int) (int, error) {
	p, err := readProc(pid)
	return p.parent, err
}

// Alive says whether the process runs. A zombie does not.
func Alive(id ID) bool {
	if id.PID <= 0 {
		return false
	}
	p, err := readProc(id.PID)
	if err != nil {
		return answers(id.PID)
	}
	return p.state != zombie && (id.Start == 0 || id.Start == p.start)
}

func startTime(pid int) (time.Time, bool) {
	start, err := Start(pid)
	return time.UnixMicro(int64(start)), err == nil
}

// entry is what is read from the table of processes.
type entry struct {
	state  int8
	parent int
	start  uint64
}

func readProc(pid int) (entry, error) {
	proc, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(proc.Proc.P_pid) != pid {
		return entry{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	t := proc.Proc.P_starttime
	return entry{proc.Proc.P_stat, int(proc.Eproc.Ppid), uint64(t.Sec)*1e6 + uint64(t.Usec)}, nil
}
