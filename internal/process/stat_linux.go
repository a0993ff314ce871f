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
	_, start, err := readStat(pid)
	return start, err
}

// Alive says whether the process runs. A zombie does not.
func Alive(id ID) bool {
	if id.PID <= 0 {
		return false
	}
	state, start, err := readStat(id.PID)
	if err != nil {
		// /proc may be missing, or hide the processes of others.
		return answers(id.PID)
	}
	if state == 'X' || state == 'Z' && threads(id.PID) <= 1 {
		return false
	}
	return id.Start == 0 || id.Start == start
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
	_, start, err := readStat(pid)
	if err != nil {
		return time.Time{}, false
	}
	now := time.Now()
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return time.Time{}, false
	}
	age := time.Duration(up.Nano()) - time.Duration(start)*(time.Second/ticksPerSecond)
	return now.Add(-age), true
}

// readStat takes the state and the start time from /proc/pid/stat.
func readStat(pid int) (state byte, start uint64, err error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ESRCH):
		return 0, 0, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	case err != nil:
		return 0, 0, fmt.Errorf("process %d: %w", pid, err)
	}
	state, start, ok := parseStat(data)
	if !ok {
		return 0, 0, fmt.Errorf("process %d: /proc/%d/stat is not as expected", pid, pid)
	}
	return state, start, nil
}

// parseStat reads a line of /proc/pid/stat. The second field is the program's
// name, which may hold blanks and parentheses: the fields that matter are
// counted from the last one.
func parseStat(line []byte) (state byte, start uint64, ok bool) {
	const startField = 22 - 3 // numbered from 1 in proc(5); the first after the name is 3
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return 0, 0, false
	}
	fields := bytes.Fields(line[end+1:])
	if len(fields) <= startField || len(fields[0]) != 1 {
		return 0, 0, false
	}
	start, err := strconv.ParseUint(string(fields[startField]), 10, 64)
	return fields[0][0], start, err == nil
}
