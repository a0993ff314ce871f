//go:build unix

package proc_test

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/proc"
)

func TestStart(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		ctx := testContext(t)
		me := connect(t, st, "me")
		child, err := echo.Start(ctx, st, "kid")
		require.NoError(t, err)
		require.Equal(t, "kid", child.ID())
		peer, err := st.Peer(ctx, "kid")
		require.NoError(t, err)
		require.Equal(t, ipcmgr.Active, peer.State)
		require.Equal(t, child.PID(), peer.PID)
		require.Nil(t, child.State())

		require.NoError(t, me.Send(ctx, "kid", "hello"))
		answer, err := ipcmgr.ReceiveAs[string](ctx, me)
		require.NoError(t, err)
		require.Equal(t, "hello", answer)

		require.NoError(t, child.Stop(ctx))
		require.NoError(t, child.Wait(ctx))
		require.True(t, child.State().Success())
		_, err = st.Peer(ctx, "kid")
		require.ErrorIs(t, err, ipcmgr.ErrNoPeer)
		require.ErrorContains(t, child.Kill(), "process already finished")
		require.NoError(t, me.Disconnect(ctx, nil))
		require.NoError(t, st.Shutdown(ctx)) // and the audit
	})
}

// The owner's shutdown ends children too, without Stop.
func TestShutdownEndsChildren(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		ctx := testContext(t)
		var all []*proc.Child
		for _, id := range []string{"a", "b", "c"} {
			child, err := echo.Start(ctx, st, id)
			require.NoError(t, err)
			all = append(all, child)
		}
		require.NoError(t, st.Shutdown(ctx))
		for _, child := range all {
			require.NoError(t, child.Wait(ctx))
		}
	})
}

func TestChildThatEndsBeforeItConnects(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	ctx := testContext(t)

	_, err := proc.Start(ctx, st, "kid", exec.Command("sh", "-c", "echo first >&2; echo no such file >&2; exit 3"))
	var exit *proc.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, "first\nno such file", exit.Stderr)
	require.Equal(t, 3, exit.State.ExitCode())
	var status *exec.ExitError
	require.ErrorAs(t, err, &status)
	require.ErrorContains(t, err, `child "kid"`)
	require.ErrorContains(t, err, "exit status 3; it last wrote: first\nno such file")

	_, err = proc.Start(ctx, st, "kid", exec.Command("true"))
	require.ErrorAs(t, err, &exit)
	require.ErrorContains(t, err, "did not connect")

	_, err = proc.Start(ctx, st, "kid", exec.Command("sh", "-c", "kill -9 $$"))
	require.ErrorContains(t, err, "signal: killed")

	_, err = proc.Start(ctx, st, "kid", exec.Command("/does/not/exist"))
	require.ErrorContains(t, err, `start child "kid"`)
}

// A child may have done its work before anybody saw it.
func TestQuickChild(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	ctx := testContext(t)
	for range 10 {
		child, err := quick.Start(ctx, st, "kid")
		require.NoError(t, err)
		require.NoError(t, child.Wait(ctx))
	}
}

// Who has waited for a killed child finds that it crashed, and may take its place.
func TestKilledChildHasCrashed(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		ctx := testContext(t)
		for range 3 {
			child, err := echo.Start(ctx, st, "kid")
			require.NoError(t, err)
			require.NoError(t, child.Kill())
			require.ErrorContains(t, child.Wait(ctx), "killed")
			peer, err := st.Peer(ctx, "kid")
			require.NoError(t, err)
			require.Equal(t, ipcmgr.Crashed, peer.State)
			c, err := st.Connect(ctx, "kid", ipcmgr.Resume())
			require.NoError(t, err)
			require.NoError(t, c.Disconnect(ctx, nil))
		}
	})
}

// The id is in use: the child says so, and its parent repeats it.
func TestIDInUse(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	connect(t, st, "kid")
	_, err := echo.Start(testContext(t), st, "kid")
	require.ErrorContains(t, err, ipcmgr.ErrPeerActive.Error())
}

func TestStartIsInterrupted(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	ctx, cancel := context.WithCancelCause(testContext(t))
	reason := errors.New("enough")
	child := exec.Command("sh", "-c", "echo there >&2; exec sleep 1000")
	alive := newPipeEnd(t)
	alive.giveTo(child)
	lines := proc.Lines(func(id, line string) { cancel(reason) })
	_, err := proc.Start(ctx, st, "kid", child, lines)
	require.ErrorIs(t, err, reason)
	require.ErrorContains(t, err, "it last wrote: there")
	alive.wait(t)
}

// Of two children that are started for one id, one is ready, and the other says
// why it is not.
func TestTwoChildrenOfOneID(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		for name, cmd := range map[string]func() *exec.Cmd{
			"plain":   echo.Cmd,
			"wrapped": func() *exec.Cmd { return wrapped(echo) },
		} {
			ctx := testContext(t)
			var ready []*proc.Child
			var children [2]*proc.Child
			for n := range children {
				var err error
				children[n], err = proc.Launch(ctx, st, "kid", cmd())
				require.NoError(t, err)
			}
			for _, child := range children {
				if err := child.Ready(ctx); err != nil {
					require.ErrorContains(t, err, ipcmgr.ErrPeerActive.Error(), name)
					require.Error(t, child.Wait(ctx))
				} else {
					ready = append(ready, child)
				}
			}
			require.Len(t, ready, 1, name)
			require.NoError(t, ready[0].Stop(ctx))
		}
	})
}

// A wrapper may end: what it has started is still the child's.
func TestBelowAWrapperThatHasEnded(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	ctx := testContext(t)
	cmd := echo.Cmd()
	shell := exec.Command("sh", append([]string{"-c", `("$0" "$@" & true); sleep 1000`}, cmd.Args...)...)
	shell.Env = cmd.Env
	child, err := proc.Start(ctx, st, "kid", shell)
	require.NoError(t, err)
	require.NoError(t, child.Kill())
	require.NoError(t, st.Wait(ctx))
	<-child.Done()
}

func TestBadID(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	ctx := testContext(t)
	for _, id := range []string{"", "_x", "a.pid"} {
		_, err := echo.Start(ctx, st, id)
		require.ErrorIs(t, err, ipcmgr.ErrBadID)
		_, err = proc.Launch(ctx, st, id, echo.Cmd())
		require.ErrorIs(t, err, ipcmgr.ErrBadID)
		_, err = proc.Supervise(ctx, st, proc.Strategy{}, proc.Spec{ID: id, Cmd: echo.Cmd})
		require.ErrorIs(t, err, ipcmgr.ErrBadID)
	}
}

// A program that does not call Init does not start copies of itself without end.
func TestForgottenInit(t *testing.T) {
	cmd := echo.Cmd()
	cmd.Env = append(cmd.Env, forgetfulEnv+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, "this process was started to run \"echo\", and has not: main, or TestMain, must call proc.Init first\n", string(out))
}

// What a child found in its environment is not for its own children.
func TestGrandchildInheritsNothing(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	ctx := testContext(t)
	me := connect(t, st, "me")
	child, err := nosy.Start(ctx, st, "kid")
	require.NoError(t, err)
	seen, err := ipcmgr.ReceiveAs[string](ctx, me)
	require.NoError(t, err)
	require.Equal(t, "0\n", seen)
	require.NoError(t, child.Wait(ctx))
}

// A wrapper may stand between: it gets the pipe and hands it on.
func TestWrapper(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		ctx := testContext(t)
		child, err := proc.Start(ctx, st, "kid", wrapped(echo))
		require.NoError(t, err)
		peer, err := st.Peer(ctx, "kid")
		require.NoError(t, err)
		require.NotEqual(t, child.PID(), peer.PID)
		require.NoError(t, child.Stop(ctx))
	})
}

// What closes the pipe in between is found out at once, not when it matters.
func TestWrapperThatClosesThePipe(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	cmd := echo.Cmd()
	shell := exec.Command("sh", append([]string{"-c", `exec "$0" "$@" 3<&-`}, cmd.Args...)...)
	shell.Env = cmd.Env
	_, err := proc.Start(testContext(t), st, "kid", shell)
	require.ErrorContains(t, err, "descriptor 3 is not the parent's pipe")
}

// The end of the process that was started is the end of its group.
func TestWrapperIsKilled(t *testing.T) {
	st := spawn(t, "unixsocket+json")
	ctx := testContext(t)
	alive := newPipeEnd(t)
	cmd := wrapped(echo)
	alive.giveTo(cmd)
	child, err := proc.Start(ctx, st, "kid", cmd)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(child.PID(), syscall.SIGKILL)) // the shell alone
	require.Error(t, child.Wait(ctx))
	alive.wait(t)
}

func TestNotAChild(t *testing.T) {
	run := func(cmd *exec.Cmd, want string) {
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), want)
	}
	run(echo.Cmd(), "IPCMGR_CLIENT is not set")
	cmd := echo.Cmd()
	cmd.Env = append(cmd.Env, "IPCMGR_FUNC=unheard-of")
	run(cmd, `no function is registered as "unheard-of" before Init; there are: breeder, chatty, deaf, double`)
	for _, pipe := range []string{"0:1", "9:1", "x", "1", "-1:5"} {
		cmd := echo.Cmd()
		cmd.Env = append(cmd.Env, "IPCMGR_CLIENT=kid", "IPCMGR_PARENT="+pipe)
		run(cmd, "(or start with Outlive)")
	}
}

func TestRegisterTwice(t *testing.T) {
	require.Panics(t, func() { proc.Register("echo", doEcho) })
}

func TestChildOutput(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	ctx := testContext(t)
	var told bytes.Buffer
	lines := proc.LinesTo(&told) // one for both: they take turns
	for _, id := range []string{"a", "b"} {
		cmd := chatty.Cmd()
		var own bytes.Buffer
		cmd.Stdout, cmd.Stderr = &own, &own
		child, err := proc.Start(ctx, st, id, cmd, lines)
		require.NoError(t, err)
		require.NoError(t, child.Wait(ctx))
		require.Equal(t, "one\ntwo\nno newline", trial.WithoutNotices(own.String()), "in the order in which it was written")
	}
	require.Equal(t, "a: one\na: two\na: no newline\nb: one\nb: two\nb: no newline\n", trial.WithoutNotices(told.String()))

	var mu sync.Mutex
	var got []string
	child, err := chatty.Start(ctx, st, "c", proc.Lines(func(id, line string) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, id+" "+line)
	}))
	require.NoError(t, err)
	require.NoError(t, child.Wait(ctx))
	require.ElementsMatch(t, []string{"c one", "c two", "c no newline"}, got)
}
