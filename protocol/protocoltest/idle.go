package protocoltest

import (
	"os"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// idle is about clients that wait. It applies where the system tells of every
// thread how often it was put to sleep.
func idle(t *testing.T, h Harness) {
	if _, _, ok := trial.Sleeps(os.Getpid()); h.Processes && ok && !h.Polls {
		h.run(t, "NoPeriodicCalls", noPeriodicCalls)
	}
}

// A client that waits for a message, in a process that does nothing else, does
// nothing: whatever woke it, a timer or a system call that times out, ends with
// a thread that goes to sleep again, and the system counts that. So there comes
// a stretch without any. What is over soon, or comes from outside, such as a
// collection of garbage or a machine that stops the process, only puts it off;
// what is periodic puts it off for ever.
func noPeriodicCalls(s *scene) {
	const looks, look = 50, 100 * time.Millisecond
	a := s.actor()
	pid := a.connect("a", protocol.New).PID
	b := s.connect("b", protocol.New)
	a.tell(order{Op: "idle"})
	a.hear()
	first, _, _ := trial.Sleeps(pid)
	begun, last := time.Now(), first
	for quiet := 0; quiet < looks; { // looks, not time: nobody looks while the machine stands still
		select {
		case <-time.After(look):
		case <-s.ctx.Done():
			s.Fatalf("the threads of a process that waits went to sleep %d times in %v, and never rested for %v",
				last-first, time.Since(begun).Round(time.Second), looks*look)
		}
		n, all, ok := trial.Sleeps(pid)
		if !ok {
			s.Fatal("the client that waits has died")
		}
		if quiet++; n != last || !all {
			quiet, last = 0, n
		}
	}
	b.send("a", 0, 1)
	if r := a.finish(); r.Err != "" {
		s.Errorf("the client that waited: %s", r.Err)
	}
}
