// Package ipctest is for tests of programs that use ipcmgr: stores that are
// audited and checked for leaks when a test ends, workers that are functions of
// the test binary and run in processes of their own, expectations that say what
// came instead, and faults.
//
//	func TestMain(m *testing.M) { ipctest.Main(m) }
//
//	var echo = ipctest.Register("echo", func(ctx context.Context, c ipcmgr.Client) error {
//		return ipcmgr.Handle(ctx, c, func(ctx context.Context, m *ipcmgr.Message, v string) error {
//			return c.Send(ctx, m.From, c.ID()+" "+v)
//		})
//	})
//
//	func TestEcho(t *testing.T) {
//		ipctest.Each(t, func(t *testing.T, st *ipcmgr.Store) {
//			echo.Start(t, st, "a", "b")
//			me := ipctest.Connect(t, st, "test")
//			…
//			ipctest.Expect(t, me, "a", "a hi")
//		})
//	}
//
// No test hangs: whatever a function here waits for, it waits at most for
// -ipctest.wait, never past the test, and it gives up before the -timeout of
// the test binary, so that the failure is told. No process is left behind,
// also when the test binary panics at its timeout or is killed: workers end
// with it. The functions that take a testing.TB fail the test at once, and so
// are to be called on its goroutine.
//
// Tests may run in parallel, and inside a testing/synctest bubble over the
// protocol mem. Of the protocols of this module, mem alone reaches no
// other process. There a worker is a goroutine, and to be killed means that
// its client is closed and its context ends.
package ipctest

import (
	"os"
	"sync/atomic"
	"testing"

	"github.com/ipcmgr/ipcmgr/proc"
)

// staged says that this process went through Main, so that a copy of it becomes
// a worker and does not run the tests again.
var staged atomic.Bool

// Main is the TestMain of a package that starts workers: in a worker's process
// it runs the worker, otherwise the tests. It does not return.
func Main(m *testing.M) {
	proc.Init()
	staged.Store(true)
	os.Exit(m.Run())
}
