//go:build linux && !ipcmgr_fallback

package shm

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/step"
	"github.com/ipcmgr/ipcmgr/protocol"
)

func init() { roles["walker"] = walk }

// last is the number of a message that none comes after.
const last = 1_000_000

// walkBatches are the batches that the walker sends: a first message, more in the
// same ring, and what needs larger ones.
var walkBatches = []struct{ n, size int }{{1, 10}, {1, 10}, {3, 100}, {7, 1000}, {1, 40_000}, {2, 10}}

// walk sends until it comes to a step for the given time, at which it kills
// itself: ROUTE STEP TIME. It says what it is about to send and what was accepted.
func walk(args []string) error {
	ctx := context.Background()
	times, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	st, err := Protocol{}.Open(ctx, args[0])
	if err != nil {
		return err
	}
	m, err := st.Connect(ctx, protocol.ConnectOptions{ID: "a", Mode: protocol.Resume})
	if err != nil {
		return err
	}
	sent := 0
	step.On = func(name string) {
		if name == "published" {
			fmt.Println("part", sent) // of a batch, or all of it
		}
		if name != args[1] {
			return
		}
		if times--; times == 0 {
			unix.Kill(unix.Getpid(), unix.SIGKILL)
		}
	}
	for _, b := range walkBatches {
		for frames := letters(sent, b.n, b.size); len(frames) > 0; {
			n, err := m.Deliver(ctx, "b", frames, true)
			if err != nil {
				return err
			}
			frames = frames[n:]
		}
		sent += b.n
		fmt.Println("sent", sent)
	}
	return nil
}

// steps are all that a sender goes through.
var steps = []string{
	"drafted", "ended", "finished", "placed", "announced", "called", "rung",
	"written", "published", "slot marked", "marked", "bytes counted", "counted", "told",
}

// A sender is killed between any two of its steps, while its receiver sleeps.
func TestKilledAtAnyStep(t *testing.T) {
	for _, name := range steps {
		times := 1
		for killedAt(t, name, times) {
			times++
		}
		require.Greater(t, times, 1, "nobody was killed at %s", name)
	}
}

// killedAt has a sender killed when it comes to a step for the given time, and
// says whether it came to that. What was accepted arrives without anybody's help;
// what was published and not yet accepted does, too; nothing else does, and the
// next sender goes on.
func killedAt(t *testing.T, name string, times int) bool {
	st := spawnStore(t, settings)
	b := connect(t, st, "b", protocol.New)
	got := make(chan int, 1000)
	ctx, cancel := context.WithCancel(within(t))
	ended := make(chan error, 1)
	go func() { ended <- receiveAll(ctx, b, got) }()
	defer func() {
		cancel()
		<-ended
		require.NoError(t, b.Leave(within(t), protocol.Departure{}))
	}()

	cmd := exec.Command(os.Args[0], st.Route(), name, strconv.Itoa(times))
	cmd.Env = append(os.Environ(), roleVar+"=walker")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	accepted, published := 0, false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		what, value, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "part":
			published = true
		case "sent":
			accepted, err = strconv.Atoi(value)
			require.NoError(t, err)
			published = false
		}
	}
	if cmd.Wait() == nil {
		return false
	}
	require.Equal(t, syscall.SIGKILL, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())

	count := 0
	take := func() bool {
		n, ok := <-got
		require.True(t, ok, "killed at %s, time %d: what came after message %d did not wake the receiver", name, times, count-1)
		if n == last {
			return false
		}
		require.Equal(t, count, n, "killed at %s, time %d", name, times)
		count++
		return true
	}
	// Nobody else sends, so nobody else wakes the receiver.
	for count < accepted || published && count == accepted {
		require.True(t, take())
	}
	a := connect(t, st, "a", protocol.Reconnect)
	deliver(t, a, "b", letters(last, 1, 0))
	for take() {
		require.True(t, published, "killed at %s, time %d: message %d was not published", name, times, count-1)
	}
	require.NoError(t, a.Leave(within(t), protocol.Departure{}))
	return true
}

// receiveAll says the numbers of all that arrives, until ctx ends.
func receiveAll(ctx context.Context, m *mailbox, got chan<- int) error {
	defer close(got)
	ds := make([]protocol.Delivery, 4)
	for {
		n, err := m.Fetch(ctx, ds, true)
		if err != nil {
			return err
		}
		for _, d := range ds[:n] {
			text, _, _ := strings.Cut(string(d.Data), " ")
			number, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			got <- number
		}
		if err := m.Ack(ctx, ds[:n]); err != nil {
			return err
		}
	}
}
