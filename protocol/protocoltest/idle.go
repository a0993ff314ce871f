package protocoltest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// idle is about clients that wait. It applies where the system tells of every
// thread how often it was put to sleep.
func idle(t *testing.T, h Harness) {
	if _, ok := switches(os.Getpid()); h.Processes && ok && !h.Polls {
		h.run(t, "NoPeriodicCalls", noPeriodicCalls)
	}
}

// A client that waits for a message, in a process that does nothing else, does
// nothing: whatever woke it, a timer or a system call that times out, would show
// in the number of times that its threads went to sleep. What is over soon, or
// comes from outside, such as a collection of garbage or a machine that stops
// the process, may disturb a few looks; something periodic disturbs each.
func noPeriodicCalls(s *scene) {
	const looks, look, most = 15, 2 * time.Second, 10
	a := s.actor()
	pid := a.connect("a", protocol.New).PID
	b := s.connect("b", protocol.New)
	a.tell(order{Op: "idle"})
	a.hear()
	var seen []int
	for range looks {
		before, _ := switches(pid)
		<-time.After(look)
		after, ok := switches(pid)
		if !ok {
			s.Fatal("the client that waits has died")
		}
		seen = append(seen, after-before)
		if after-before <= most {
			break
		}
	}
	if seen[len(seen)-1] > most {
		s.Errorf("the threads of a process that waits went to sleep %d times in looks of %v each", seen, look)
	}
	b.send("a", 0, 1)
	if r := a.finish(); r.Err != "" {
		s.Errorf("the client that waited: %s", r.Err)
	}
}

// switches counts how often the threads of a process have gone to sleep.
func switches(pid int) (n int, ok bool) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, file := range files {
		status, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			var count int
			if _, err := fmt.Sscanf(line, "voluntary_ctxt_switches: %d", &count); err == nil {
				n += count
				ok = true
			}
		}
	}
	return n, ok
}
