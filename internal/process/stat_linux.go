package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the unit of the times in /proc, the same on every
// architecture that Go runs on.
const ticksPerSecond = 100

// Start is when the process under pid started, in clock ticks since the
// machine did. An error that matches os.ErrProcessDone when there is none.
func Start(pid int) (uint64, error) {
	s, err := readStat(pid)
	return s.start, err
}

// parent is the pid of the process that the one under pid is a child of now.
func parent(pid int) (int, error) {
	s, err := readStat(pid)
	return s.parent, err
}

// Alive says whether the process runs. A zombie does not.
func Alive(id ID) bool {
	if id.PID <= 0 {
		return false
	}
	s, err := readStat(id.PID)
	if err != nil {
		// /proc may be missing, or hide the processes of others.
		return answers(id.PID)
	}
	if s.state == 'X' || s.state == 'Z' && threads(id.PID) <= 1 {
		return false
	}
	return id.Start == 0 || id.Start == s.start
}

// threads counts those of a process. The first thread of one that is dying may
// be a zombie while others still hold its files, and with them its locks.
func threads(pid int) int {
	entries, _ := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	return len(entries)
}

// startTime is Start on the wall clock as it stands now. That is read first: if
// this process is stopped before it reads the other one, the start seems
// earlier, which is the lesser harm of the two that clockSlack tells of.
func startTime(pid int) (time.Time, bool) {
	s, err := readStat(pid)
	if err != nil {
		return time.Time{}, false
	}
	now := time.Now()
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return time.Time{}, false
	}
	age := time.Duration(up.Nano()) - time.Duration(s.start)*(time.Second/ticksPerSecond)
	return now.Add(-age), true
}

// stat is what is read from /proc/pid/stat.
type stat struct {
	state  byte
	parent int
	start  uint64
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ESRCH):
		return stat{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	case err != nil:
		return stat{}, fmt.Errorf("process %d: %w", pid, err)
	}
	s, ok := parseStat(data)
	if !ok {
		return stat{}, fmt.Errorf("process %d: /proc/%d/stat is not as expected", pid, pid)
	}
	return s, nil
}

// parseStat reads a line of /proc/pid/stat. The second field is the program's
// name, which may hold blanks and parentheses: the fields that matter are
// counted from the last one.
func parseStat(line []byte) (stat, bool) {
	const ( // numbered from 1 in proc(5); the first after the name is 3
		parentField = 4 - 3
		startField  = 22 - 3
	)
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return stat{}, false
	}
	fields := bytes.Fields(line[end+1:])
	if len(fields) <= startField || len(fields[0]) != 1 {
		return stat{}, false
	}
	parent, err := strconv.Atoi(string(fields[parentField]))
	if err != nil {
		return stat{}, false
	}
	start, err := strconv.ParseUint(string(fields[startField]), 10, 64)
	return stat{fields[0][0], parent, start}, err == nil
}
