package robustness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/filelock"
	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
)

func init() {
	roles["farewell"] = playFarewell
	roles["cramped"] = playCramped
}

// A client that cannot say goodbye, for want of a descriptor, has left all the
// same: it is seen to have crashed as soon as there are descriptors again, also
// by those who ask nothing of its process.
func TestGoodbyeWithoutDescriptors(t *testing.T) {
	for _, way := range []string{"suspend", "disconnect"} {
		t.Run(way, func(t *testing.T) {
			over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
				way := way
				if way == "suspend" && !w.store.Features().Suspends {
					way = "disconnect"
				}
				_, in, out := w.start("farewell", way)
				hear := func() string {
					line, err := out.ReadString('\n')
					require.NoError(w, err)
					return line
				}
				require.Equal(w, "connected\n", hear())
				me := w.connect("me")
				if way == "suspend" {
					w.send(me, "a", "kept")
				}
				_, err := in.Write([]byte("leave\n"))
				require.NoError(w, err)
				require.Equal(w, "left\n", hear())
				w.await("a", ipcmgr.Crashed)
				a := w.connect("a", ipcmgr.Resume())
				if way == "suspend" {
					require.Equal(w, []string{"kept"}, w.receive(a, 1))
				}
				w.leave(me)
				w.leave(a)
			})
		})
	}
}

// starve leaves the process few descriptors, until the function returned is
// called.
func starve(spare int) (feed func() error, err error) {
	var full unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &full); err != nil {
		return nil, err
	}
	none := full
	none.Cur = uint64(lowest() + spare)
	return func() error { return unix.Setrlimit(unix.RLIMIT_NOFILE, &full) }, unix.Setrlimit(unix.RLIMIT_NOFILE, &none)
}

// playFarewell keeps another client, so that its process goes on to be present.
func playFarewell() error {
	ctx, cancel := context.WithTimeout(context.Background(), stuck)
	defer cancel()
	s, err := ipcmgr.Open(ctx, "")
	if err != nil {
		return err
	}
	if _, err := s.Connect(ctx, "stays", ipcmgr.Logger(silent)); err != nil {
		return err
	}
	a, err := s.Connect(ctx, "a", ipcmgr.Logger(silent))
	if err != nil {
		return err
	}
	fmt.Println("connected")
	if _, err := fmt.Scanln(new(string)); err != nil {
		return err
	}
	feed, err := starve(0)
	if err != nil {
		return err
	}
	if os.Args[1] == "suspend" {
		err = a.Suspend(ctx, time.Time{})
	} else {
		err = a.Disconnect(ctx, nil)
	}
	if !errors.Is(err, unix.EMFILE) {
		return fmt.Errorf("without a descriptor: %w", err)
	}
	if err := feed(); err != nil {
		return err
	}
	fmt.Println("left")
	_, _ = fmt.Scanln(new(string)) // until the test ends
	return nil
}

// A goodbye that is called off while it waits for the store is over: the client
// has left as a crash would have it, and what was to be kept is.
func TestGoodbyeCalledOff(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		me := w.connect("me")
		for _, suspend := range []bool{false, true} {
			if suspend && !w.store.Features().Suspends {
				continue
			}
			a := w.raw("a")
			if suspend {
				w.send(me, "a", "kept")
			}
			lock, err := filelock.Lock(w.ctx, w.dot("lock"))
			require.NoError(w, err)
			ctx, cancel := context.WithCancelCause(w.ctx)
			left := make(chan error, 1)
			go func() { left <- a.Leave(ctx, protocol.Departure{Suspend: suspend}) }()
			for err == nil { // until the goodbye has begun
				_, err = a.Fetch(w.ctx, make([]protocol.Delivery, 1), true)
			}
			require.ErrorIs(w, err, protocol.ErrClosed)
			enough := errors.New("enough")
			cancel(enough)
			require.ErrorIs(w, <-left, enough)
			require.ErrorIs(w, a.Leave(w.ctx, protocol.Departure{}), protocol.ErrClosed)
			w.await("a", ipcmgr.Crashed)
			require.NoError(w, lock.Unlock())
			again := w.connect("a", ipcmgr.Resume())
			if suspend {
				require.Equal(w, []string{"kept"}, w.receive(again, 1))
			}
			w.leave(again)
		}
	})
}

// On a full disk a goodbye may fail. The client has left all the same: when
// there is room again its id can be taken up, and nobody waits for it.
func TestGoodbyeOnAFullDisk(t *testing.T) {
	for _, name := range inDirectories {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], name, openPlace(t, name))
			cmd.Env = append(os.Environ(), roleEnv+"=cramped")
			trial.OnSmallDisk(cmd)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			t.Logf("%s", out)
		})
	}
}

func playCramped() error {
	dir := os.Args[2]
	if err := trial.MountSmallDisk(dir, 2<<20); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stuck)
	defer cancel()
	s, err := ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{os.Args[1]}, Route: dir + "/r"})
	if err != nil {
		return err
	}
	for _, suspend := range []bool{false, s.Features().Suspends, false} {
		a, err := s.Connect(ctx, "a", ipcmgr.Logger(silent), ipcmgr.Resume())
		if err != nil {
			return err
		}
		if err := trial.Occupy(dir + "/stranger"); err != nil {
			return err
		}
		if suspend {
			err = a.Suspend(ctx, time.Time{})
		} else {
			err = a.Disconnect(ctx, nil)
		}
		fmt.Println("left with", err)
		if err := os.Remove(dir + "/stranger"); err != nil {
			return err
		}
	}
	fmt.Println("shut down with", s.Shutdown(ctx))
	return context.Cause(ctx)
}
