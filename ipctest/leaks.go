package ipctest

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// counted counts the stores of the tests that run now. What is open in this
// process cannot be told apart by test, so it is compared between the moment
// before the first of several stores that exist together, and the end of the last.
var counted census

type census struct {
	mu       sync.Mutex
	stores   int
	checking bool // the last of several stores has gone
	routes   []string
	before   belongings
}

// belongings are what a process may leave behind in itself.
type belongings struct {
	goroutines  map[string]string // of those that run code of this module: their stacks
	descriptors map[string]string // what they refer to
}

func (c *census) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stores == 0 && !c.checking {
		warmUp()
		c.routes, c.before = nil, look()
	}
	c.stores++
}

func (c *census) leave(t testing.TB, route string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.routes = append(c.routes, route)
	if c.stores--; c.stores > 0 || c.checking {
		return
	}
	c.checking = true
	defer func() { c.checking = false }()
	ctx, cancel := finishing(t)
	defer cancel()
	for _, leak := range c.leaks(ctx) {
		complain(t, "ipctest: left behind: %s", leak)
	}
}

// leaks lists what is new and does not end before ctx does. If another test makes
// a store meanwhile, its end is the one to look: what that test runs is new, too.
func (c *census) leaks(ctx context.Context) []string {
	for {
		left := c.newSince()
		if len(left) == 0 || ctx.Err() != nil {
			return left
		}
		c.mu.Unlock()
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
		}
		c.mu.Lock()
		if c.stores > 0 {
			return nil
		}
	}
}

// newSince lists what is there now, and was not before.
func (c *census) newSince() (left []string) {
	now := look()
	for id, stack := range now.goroutines {
		if _, old := c.before.goroutines[id]; !old {
			left = append(left, stack)
		}
	}
	for fd, to := range now.descriptors {
		if c.before.descriptors[fd] != to && c.isOurs(to) {
			left = append(left, "descriptor "+fd+" of "+to)
		}
	}
	slices.Sort(left)
	return left
}

// isOurs leaves out what only the test itself can have opened, such as files
// elsewhere and connections to another machine.
func (c *census) isOurs(to string) bool {
	if inode, ok := strings.CutPrefix(to, "socket:["); ok {
		return isUnixSocket(strings.TrimSuffix(inode, "]"))
	}
	inRoute := func(route string) bool { return route != "" && strings.HasPrefix(to, route) }
	return slices.ContainsFunc(c.routes, inRoute) || strings.HasPrefix(to, "pipe:") || strings.HasPrefix(to, "anon_inode:")
}

// isUnixSocket looks in the kernel's list, whose seventh column is the inode.
func isUnixSocket(inode string) bool {
	list, _ := os.ReadFile("/proc/self/net/unix")
	for line := range strings.Lines(string(list)) {
		if f := strings.Fields(line); len(f) >= 7 && f[6] == inode {
			return true
		}
	}
	return false
}

func look() belongings { return belongings{goroutines(), descriptors()} }

const module = "github.com/ipcmgr/ipcmgr"

// goroutines gives the stacks of the others that run code of this module, by
// number.
func goroutines() map[string]string {
	buf := make([]byte, 1<<16)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	found := map[string]string{}
	for i, stack := range bytes.Split(buf[:n], []byte("\n\n")) {
		if i == 0 || !bytes.Contains(stack, []byte(module)) { // the first is the caller's
			continue
		}
		if f := bytes.Fields(stack); len(f) > 1 {
			found[string(f[1])] = string(stack)
		}
	}
	return found
}

// descriptors lists what this process has open, where the system tells.
func descriptors() map[string]string {
	const dir = "/proc/self/fd/"
	entries, _ := os.ReadDir(dir)
	open := map[string]string{}
	for _, e := range entries {
		if to, err := os.Readlink(dir + e.Name()); err == nil {
			open[e.Name()] = to
		}
	}
	return open
}

// warmUp makes the runtime open the descriptors of its poller, which it keeps
// for good.
var warmUp = sync.OnceFunc(func() {
	if r, w, err := os.Pipe(); err == nil {
		_ = r.SetReadDeadline(time.Now())
		_, _ = r.Read(make([]byte, 1))
		r.Close()
		w.Close()
	}
})
