// Package process tells which process one is, whether it is alive, and when it
// ends. A pid alone says little: it is given to a stranger once its process is
// gone. So a process is named by its pid and the time it started.
package process

import (
	"os"
	"sync"
	"time"
)

// ID names one process for good.
type ID struct {
	PID int
	// Start is when it started, in units of the kernel's own; 0 = not known.
	// Only equality means something.
	Start uint64
}

// Self names this process.
func Self() ID { return self() }

var self = sync.OnceValue(func() ID {
	pid := os.Getpid()
	start, _ := Start(pid) // 0 on an error: not known
	return ID{PID: pid, Start: start}
})

// clockSlack is how far apart two readings of the wall clock may be and still
// mean the same instant: the kernel's tick, a file system's coarse times, a
// clock that is being corrected. Taking a stranger for the process costs a
// wait; taking the process for a stranger costs it its mailbox.
const clockSlack = 2 * time.Second

// StartedBefore says whether a process runs under pid that started before t.
// It is for records that name a pid and nothing else: one that was written at
// t cannot mean a process that started later. Where the start is not known, it
// says whether the pid is alive.
func StartedBefore(pid int, t time.Time) bool {
	if !Alive(ID{PID: pid}) {
		return false
	}
	started, known := startTime(pid)
	return !known || started.Before(t.Add(clockSlack))
}
