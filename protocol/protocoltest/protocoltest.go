// Package protocoltest is the suite that a protocol passes. A protocol's own
// test is two functions:
//
//	func TestMain(m *testing.M) { protocoltest.Main(m) }
//
//	func TestConformance(t *testing.T) {
//		protocoltest.Run(t, protocoltest.Harness{Protocol: fsqueue.Protocol{}, Processes: true})
//	}
//
// What the protocol declares in its Features must hold, and what it does not
// declare must be refused. Nothing is skipped: a test that does not apply is
// not there.
//
// The cast of a test are actors (see actor), each in a process of its own where
// the protocol reaches other processes: the suite starts the test binary again
// for each, tells it step by step what to do, and kills it at any step.
package protocoltest

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

var (
	rounds = flag.Int("protocoltest.rounds", 50, "how many goodbyes under fire")
	kills  = flag.Int("protocoltest.kills", 10, "how many kills under fire")
	// No test expects anything to be faster than this, on whatever machine.
	hang = flag.Duration("protocoltest.hang", 5*time.Minute, "how long a test may take before it is stuck")
)

// Harness says how the suite gets at a protocol.
type Harness struct {
	// Protocol is the one to test. Other processes find it in the registry,
	// under its name.
	Protocol protocol.Protocol
	// Route gives a fresh route; if nil, all stores are temporary ones.
	Route func(t testing.TB) string
	// Processes says that other processes can open the same store.
	Processes bool
	// Crash makes the holder of a mailbox look killed; needed where Processes
	// is false, because real processes are killed for real.
	Crash func(t testing.TB, s protocol.Store, id string)
	// Left lists what the protocol has left behind outside its routes. It may
	// be nil.
	Left func(t testing.TB) []string
	// Polls says that on this system, which has no way to wake another process,
	// a client that waits looks again and again.
	Polls bool
	// Buffered is how many bytes may lie between a sender and a receiver beyond
	// the receiver's limits: for a stream, the buffers of the kernel.
	Buffered int
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	if err := h.Protocol.Viable(); err != nil {
		t.Fatalf("the protocol %s cannot work here: %v", h.Protocol.Name(), err)
	}
	if h.Processes && !staged {
		t.Fatal("TestMain must call protocoltest.Main: the suite starts the test binary again")
	}
	if !h.Processes && h.Crash == nil {
		t.Fatal("a Harness without Processes needs Crash")
	}
	for _, theme := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"Lifecycle", lifecycle},
		{"Connect", connecting},
		{"Delivery", delivery},
		{"Crowd", crowd},
		{"Pressure", pressure},
		{"Suspend", suspending},
		{"Crash", crashing},
		{"Fire", fire},
		{"Goodbye", goodbye},
		{"Peers", peers},
		{"Context", contexts},
		{"Concurrency", concurrency},
		{"Idle", idle},
	} {
		t.Run(theme.name, func(t *testing.T) { theme.run(t, h) })
	}
}

// roleVar names, in an actor's process, the protocol it is to play with.
const roleVar = "IPCMGR_PROTOCOLTEST_ROLE"

// staged says that this process can start actors: it went through Main.
var staged bool

// Main is the TestMain of a package that calls Run: in an actor's process it
// plays the actor, otherwise it runs the tests. It does not return.
func Main(m *testing.M) {
	if name := os.Getenv(roleVar); name != "" {
		p, err := protocol.Get(name)
		if err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		play(context.Background(), p, os.Stdin, os.Stdout)
		os.Exit(0)
	}
	staged = true
	os.Exit(m.Run())
}
