package service_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/service"
)

// A service in a process of its own; who answers is another pid.
func TestExecService(t *testing.T) {
	eachProcess(t, func(t *testing.T, st *ipcmgr.Store) {
		kid := start(t, st, "echo")
		require.NoError(t, st.WaitPeer(testContext(t), "svc"))
		c := caller(t, st, "me")
		got, err := service.Call[string](testContext(t), c, "svc", "echo", "ping")
		require.NoError(t, err)
		require.Equal(t, "ping", got)
		pid, err := service.Call[int](testContext(t), c, "svc", "pid", nil)
		require.NoError(t, err)
		require.Equal(t, kid.Process.Pid, pid)
		p, err := st.Peer(testContext(t), "svc")
		require.NoError(t, err)
		require.Equal(t, pid, p.PID)
		require.NoError(t, st.Terminate(testContext(t)))
		require.NoError(t, kid.Wait())
	})
}

// A wrapper between: the service is a child of the process that was started.
func TestWrapperBetween(t *testing.T) {
	eachProcess(t, func(t *testing.T, st *ipcmgr.Store) {
		kid := start(t, st, "wrapper")
		require.NoError(t, st.WaitPeer(testContext(t), "svc"))
		pid, err := service.Call[int](testContext(t), caller(t, st, "me"), "svc", "pid", nil)
		require.NoError(t, err)
		require.Equal(t, kid.line(t), strconv.Itoa(pid))
		require.NotEqual(t, kid.Process.Pid, pid)
		require.NoError(t, st.Terminate(testContext(t)))
		require.NoError(t, kid.Wait())
	})
}

// The answer lies in the mailbox when its service is gone: it is returned.
func TestAnswerThenExit(t *testing.T) {
	eachProcess(t, func(t *testing.T, st *ipcmgr.Store) {
		c := caller(t, st, "me")
		for n := range 5 {
			kid := start(t, st, "once")
			require.NoError(t, st.WaitPeer(testContext(t), "svc"))
			f := service.Go[int](testContext(t), c, "svc", "echo", n)
			require.NoError(t, kid.Wait())
			require.NoError(t, st.WaitUntil(testContext(t), func(peers []ipcmgr.Peer) bool {
				for _, p := range peers {
					if p.ID == "svc" {
						return false
					}
				}
				return true
			}))
			got, err := f.Await(testContext(t))
			require.NoError(t, err)
			require.Equal(t, n, got)
		}
	})
}

// A service is killed while it has a request: the call fails at once.
func TestServiceIsKilled(t *testing.T) {
	eachProcess(t, func(t *testing.T, st *ipcmgr.Store) {
		kid := start(t, st, "stuck")
		require.NoError(t, st.WaitPeer(testContext(t), "svc"))
		c := caller(t, st, "me")
		stays := connect(t, st, "stays")
		f := service.Go[any](testContext(t), c, "svc", "x", nil)
		require.Equal(t, "got it", kid.line(t))
		ended := make(chan error, 1)
		go func() {
			_, err := f.Await(testContext(t))
			ended <- err
		}()
		began := time.Now()
		require.NoError(t, kid.Process.Kill())
		err := <-ended
		t.Log("after", time.Since(began))
		require.ErrorIs(t, err, ipcmgr.ErrPeerGone)
		require.ErrorIs(t, err, ipcmgr.ErrPeerCrashed)
		sent := c.Stats().Sent["svc"]
		_, err = service.Call[any](testContext(t), c, "svc", "x", nil)
		require.ErrorIs(t, err, ipcmgr.ErrPeerGone)
		require.ErrorIs(t, err, ipcmgr.ErrPeerCrashed)
		require.Equal(t, sent, c.Stats().Sent["svc"], "also where the mailbox is kept: nobody finds the request there later")
		_, err = service.Call[any](testContext(t), caller(t, st, "new"), "svc", "x", nil)
		require.ErrorIs(t, err, ipcmgr.ErrPeerGone)
		require.ErrorIs(t, err, ipcmgr.ErrPeerCrashed)
		require.NoError(t, stays.Disconnect(testContext(t), nil))
	})
}

// A service is killed while a call waits for room in its mailbox: it fails at
// once, too.
func TestFullServiceIsKilled(t *testing.T) {
	eachProcess(t, func(t *testing.T, st *ipcmgr.Store) {
		kid := start(t, st, "silent")
		require.NoError(t, st.WaitPeer(testContext(t), "svc"))
		c := caller(t, st, "me")
		for c.TrySend(testContext(t), "svc", 1) == nil {
		}
		ended := make(chan error, 1)
		go func() {
			_, err := service.Call[any](testContext(t), c, "svc", "x", nil)
			ended <- err
		}()
		for c.CallStats().Open == 0 {
			runtime.Gosched()
		}
		require.NoError(t, kid.Process.Kill())
		require.ErrorIs(t, <-ended, ipcmgr.ErrPeerGone)
	}, func(cfg *ipcmgr.Config) { cfg.MaxPending = 2 })
}

// A durable service is killed and comes back: the call waits, and the request is
// answered by the second, which knows that it may have been handled before.
func TestDurableService(t *testing.T) {
	eachDurable(t, func(t *testing.T, st *ipcmgr.Store) {
		kid := start(t, st, "durable")
		require.NoError(t, st.WaitPeer(testContext(t), "svc"))
		c := caller(t, st, "me")
		_, err := service.Call[string](testContext(t), c, "svc", service.PingMethod, nil)
		require.NoError(t, err)
		f := service.Go[bool](testContext(t), c, "svc", "redelivered", nil)
		require.Equal(t, "got it", kid.line(t))
		require.NoError(t, kid.Process.Kill())
		require.NoError(t, st.WaitUntil(testContext(t), func(peers []ipcmgr.Peer) bool {
			for _, p := range peers {
				if p.ID == "svc" && p.State == ipcmgr.Crashed {
					return true
				}
			}
			return false
		}))
		kid = start(t, st, "durable", "IPCMGR_ANSWER=yes")
		again, err := f.Await(testContext(t))
		require.NoError(t, err)
		require.True(t, again)
		require.NoError(t, st.Terminate(testContext(t)))
		require.NoError(t, kid.Wait())
	})
}

// A caller is killed before its answer: the service lives on.
func TestCallerIsKilled(t *testing.T) {
	eachProcess(t, func(t *testing.T, st *ipcmgr.Store) {
		at, release := make(chan struct{}), make(chan struct{})
		serve(t, st, "svc", func(s *service.Service) {
			service.Handle(s, "wait", func(context.Context, any) (any, error) { close(at); <-release; return nil, nil })
			echo(s)
		}, service.Workers(1))
		kid := start(t, st, "caller")
		<-at
		require.NoError(t, kid.Process.Kill())
		kid.Wait()
		close(release)
		got, err := service.Call[int](testContext(t), caller(t, st, "me"), "svc", "echo", 4)
		require.NoError(t, err)
		require.Equal(t, 4, got)
	})
}

func TestSignals(t *testing.T) {
	eachProcess(t, func(t *testing.T, st *ipcmgr.Store) {
		kid := start(t, st, "signals")
		require.NoError(t, st.WaitPeer(testContext(t), "svc"))
		_, err := service.Call[any](testContext(t), caller(t, st, "me"), "svc", service.PingMethod, nil)
		require.NoError(t, err)
		require.NoError(t, kid.Process.Signal(syscall.SIGHUP))
		require.Equal(t, "hangup", kid.line(t))
		require.NoError(t, st.Terminate(testContext(t)))
		require.Equal(t, "end", kid.line(t))
		require.NoError(t, kid.Wait())
	})
}

// The owner's signal is handled before the request to terminate.
func TestTerminateWithSignal(t *testing.T) {
	eachProcess(t, func(t *testing.T, st *ipcmgr.Store) {
		kid := start(t, st, "signals")
		c := caller(t, st, "me")
		require.NoError(t, st.WaitPeer(testContext(t), "svc"))
		_, err := service.Call[any](testContext(t), c, "svc", service.PingMethod, nil)
		require.NoError(t, err)
		require.NoError(t, st.Signal(testContext(t)))
		require.Equal(t, "hangup", kid.line(t))
		require.NoError(t, st.Terminate(testContext(t)))
		require.Equal(t, "end", kid.line(t))
		require.NoError(t, kid.Wait())
	}, hangup)
}

func hangup(cfg *ipcmgr.Config) { cfg.Signal = "HUP" }

// All signals that have arrived when the service is to end are handled, that of
// a shutdown with them. The service is at the first one all the time.
func TestSignalsBeforeTheEnd(t *testing.T) {
	eachProcess(t, func(t *testing.T, st *ipcmgr.Store) {
		const all = 8
		kid := start(t, st, "hangups")
		require.NoError(t, st.WaitPeer(testContext(t), "svc"))
		me := connect(t, st, "me")
		c := service.NewCaller(me)
		_, err := service.Call[any](testContext(t), c, "svc", service.PingMethod, nil)
		require.NoError(t, err)
		c.Close()
		for range all - 1 {
			require.NoError(t, st.Signal(testContext(t)))
			require.Equal(t, "arrived", kid.line(t))
		}
		down := make(chan error, 1)
		go func() { down <- st.Shutdown(testContext(t)) }()
		require.Equal(t, "arrived", kid.line(t))
		fmt.Fprintln(kid.in)
		for range all {
			require.Equal(t, "handled", kid.line(t))
		}
		require.Equal(t, "end", kid.line(t))
		require.NoError(t, kid.Wait())
		require.NoError(t, <-down)
	}, hangup)
}

func TestWatchedPID(t *testing.T) {
	eachProcess(t, func(t *testing.T, st *ipcmgr.Store) {
		watched := start(t, st, "sleeper")
		require.Equal(t, "ready", watched.line(t))
		kid := start(t, st, "watcher", "IPCMGR_PID="+strconv.Itoa(watched.Process.Pid))
		require.NoError(t, st.WaitPeer(testContext(t), "svc"))
		require.NoError(t, watched.Process.Kill())
		require.Equal(t, "end", kid.line(t))
		require.NoError(t, kid.Wait())
		watched.Wait()
		late := start(t, st, "watcher", "IPCMGR_PID="+strconv.Itoa(watched.Process.Pid))
		require.Equal(t, "end", late.line(t))
		require.NoError(t, late.Wait())
	})
}

// Children are reaped and told of; those that still run are asked to end.
func TestChildren(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		exe, err := os.Executable()
		require.NoError(t, err)
		role := func(name string) *exec.Cmd {
			cmd := exec.Command(exe)
			cmd.Env = append(os.Environ(), roleEnv+"="+name)
			return cmd
		}
		type exit struct{ pid, status int }
		exits := make(chan exit, 2)
		note := func(_ context.Context, state *os.ProcessState) error {
			exits <- exit{state.Pid(), state.ExitCode()}
			return nil
		}
		r := serve(t, st, "svc", echo)
		short, long := role("exit5"), role("sleeper")
		out, err := long.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, r.Start(long, note))
		require.NoError(t, r.Start(short, note))
		require.Error(t, r.Start(exec.Command(exe+".not"), note))
		require.Equal(t, exit{short.Process.Pid, 5}, <-exits)
		require.Equal(t, []int{long.Process.Pid}, r.Children())
		_, err = out.Read(make([]byte, 6)) // it is ready
		require.NoError(t, err)
		r.End()
		require.NoError(t, r.wait(t))
		require.Equal(t, exit{long.Process.Pid, 7}, <-exits)
		require.Empty(t, r.Children())
		require.Error(t, r.Start(role("exit5"), nil))
		require.True(t, errors.Is(long.Process.Signal(syscall.Signal(0)), os.ErrProcessDone))
	})
}
