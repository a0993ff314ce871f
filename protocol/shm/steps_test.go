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
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/protocol"
)

func init() { roles["walker"] = walk }

// last is the number of a message that none comes after.
const last = 1_000_000

// walkBatches are the batches that the walker sends: a first message, more in the
// same ring, and what needs larger ones.
var walkBatches = []struct{ n, size int }{{1, 10}, {1, 10}, {3, 100}, {7, 1000}, {1, 40_000}, {2, 10}}

// walk sends until the step with the given number, at which it kills itself:
// ROUTE STEP. It says what it is about to send, what was accepted, and at which
// step it is going to die.
func walk(args []string) error {
	ctx := context.Background()
	end, err := strconv.Atoi(args[1])
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
	steps, sent := 0, 0
	onStep = func(name string) {
		if name == "published" {
			fmt.Println("part", sent) // of a batch, or all of it
		}
		if steps++; steps == end {
			fmt.Println("step", name)
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

// A sender is killed between any two of its steps, while its receiver sleeps.
// What was accepted arrives without anybody's help; what was published and not
// yet accepted does, too; nothing else does, and the next sender goes on.
func TestKilledAtAnyStep(t *testing.T) {
	names := map[string]bool{}
	for step := 1; ; step++ {
		st := spawnStore(t, settings)
		b := connect(t, st, "b", protocol.New)
		got := make(chan int, 1000)
		ctx, cancel := context.WithCancel(within(t))
		ended := make(chan error, 1)
		go func() { ended <- receiveAll(ctx, b, got) }()

		cmd := exec.Command(os.Args[0], st.Route(), strconv.Itoa(step))
		cmd.Env = append(os.Environ(), roleVar+"=walker")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		accepted, published, name := 0, false, ""
		for lines := bufio.NewScanner(out); lines.Scan(); {
			what, value, _ := strings.Cut(lines.Text(), " ")
			switch what {
			case "step":
				name = value
			case "part":
				published = true
			case "sent":
				accepted, err = strconv.Atoi(value)
				require.NoError(t, err)
				published = false
			}
		}
		if err := cmd.Wait(); err == nil {
			cancel()
			<-ended
			require.NoError(t, b.Leave(within(t), protocol.Departure{}))
			break
		}
		require.NotEmpty(t, name, "step %d", step)
		names[name] = true

		count := 0
		take := func() bool {
			n, ok := <-got
			require.True(t, ok, "killed at %s, step %d: what came after message %d did not wake the receiver", name, step, count-1)
			if n == last {
				return false
			}
			require.Equal(t, count, n, "killed at %s, step %d", name, step)
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
			require.True(t, published, "killed at %s, step %d: message %d was not published", name, step, count-1)
		}
		cancel()
		<-ended
		require.NoError(t, a.Leave(within(t), protocol.Departure{}))
		require.NoError(t, b.Leave(within(t), protocol.Departure{}))
	}
	for _, name := range []string{"drafted", "finished", "placed", "announced", "rung", "written", "published", "marked", "counted"} {
		require.True(t, names[name], "nobody was killed at %s", name)
	}
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
