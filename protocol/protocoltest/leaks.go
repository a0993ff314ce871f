package protocoltest

import (
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// watchLeaks remembers what the process has open; the function it returns holds
// that it has no more.
func (s *scene) watchLeaks() (check func()) {
	warmUp()
	routines, files := runtime.NumGoroutine(), descriptors()
	var left []string
	if s.h.Left != nil {
		left = s.h.Left(s)
	}
	return func() {
		if s.h.Left != nil {
			for _, thing := range s.h.Left(s) {
				if !slices.Contains(left, thing) {
					s.Errorf("left behind: %s", thing)
				}
			}
		}
		// What ended a moment ago may still be on its way out.
		if settled(func() bool { return runtime.NumGoroutine() <= routines && len(descriptors()) <= len(files) }) {
			return
		}
		if n := runtime.NumGoroutine(); n > routines {
			stacks := make([]byte, 1<<20)
			s.Errorf("%d goroutines, there were %d:\n%s", n, routines, stacks[:runtime.Stack(stacks, true)])
		}
		if now := descriptors(); len(now) > len(files) {
			s.Errorf("open descriptors: %q; there were: %q", now, files)
		}
	}
}

// settled gives ok time to become true.
func settled(ok func() bool) bool {
	for end := time.Now().Add(*hang / 4); time.Now().Before(end); {
		if ok() {
			return true
		}
		pause()
	}
	return ok()
}

// pause lets others run, for a millisecond or so.
func pause() { <-time.After(time.Millisecond) }

// warmUp makes the runtime open what it keeps open for good, so that it is not
// taken for a leak: the descriptors of its poller.
var warmUp = sync.OnceFunc(func() {
	if r, w, err := os.Pipe(); err == nil {
		r.SetReadDeadline(time.Now())
		r.Read(make([]byte, 1))
		r.Close()
		w.Close()
	}
})

// descriptors lists what this process has open, where the system tells.
func descriptors() []string {
	const dir = "/proc/self/fd"
	entries, _ := os.ReadDir(dir)
	var open []string
	for _, e := range entries {
		if to, err := os.Readlink(dir + "/" + e.Name()); err == nil {
			open = append(open, to)
		}
	}
	slices.Sort(open)
	return open
}
