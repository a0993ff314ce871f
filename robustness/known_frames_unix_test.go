//go:build unix

package robustness

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// dial makes a connection to the socket of a client, as one whose id this
// process holds.
func (w *world) dial(to, as string) *net.UnixConn {
	w.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(w.route(), to)})
	require.NoError(w, err)
	hello := w.hello(as)
	_, err = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(hello))), hello...))
	require.NoError(w, err)
	w.Cleanup(func() { c.Close() })
	return c
}

// Elsewhere, a frame length of 4 GiB is believed.
func TestFrameOfFourGigabytesIsNotBelieved(t *testing.T) {
	over(t, []string{"fsqueue", "unixsocket"}, ipcmgr.Config{}, func(w *world) {
		b := w.connect("b", ipcmgr.Logger(silent))
		w.raw("mallory")
		peak := watchHeap()
		liar := binary.BigEndian.AppendUint32(nil, 1<<32-1)
		for range 50 {
			if w.protocol() == "unixsocket" {
				c := w.dial("b", "mallory")
				_, err := c.Write(append(liar, "the beginning of it"...))
				require.NoError(w, err)
				_, err = c.Read(make([]byte, 1))
				require.Error(w, err, "the connection is closed")
				continue
			}
			name := "0123456789abcdef-00000000000001-000000000001-000001-00000001.frames"
			require.NoError(w, os.WriteFile(w.dot("box", "b", "new", name), append(liar, 'x'), 0o600))
			ms, err := b.Poll(w.ctx, 1)
			require.NoError(w, err)
			require.Empty(w, ms)
			require.NoFileExists(w, w.dot("box", "b", "new", name))
		}
		require.Less(w, peak(), uint64(32<<20))
		w.send(b, "b", "good")
		require.Equal(w, []string{"good"}, w.receive(b, 1))
	})
}

// Elsewhere, a peer that dies in the middle of a frame leaves the reader
// spinning or its disconnect hanging.
func TestDeathInTheMiddleOfAFrame(t *testing.T) {
	over(t, []string{"unixsocket"}, ipcmgr.Config{}, func(w *world) {
		w.raw("mallory")
		for _, cut := range []int{1, 3, 4, 5, 100, 50_000} {
			b := w.connect("b", ipcmgr.Logger(silent))
			c := w.dial("b", "mallory")
			whole := w.envelope("mallory", "b", strings.Repeat("x", 100_000))
			_, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(whole))), whole...)[:cut])
			require.NoError(w, err)
			require.NoError(w, c.Close())

			const looks, look = 20, 200 * time.Millisecond
			spun := look
			for n := 0; n < looks && spun > 3*look/4; n++ { // a collection of garbage may disturb a few
				before := used(w)
				ctx, cancel := context.WithTimeoutCause(w.ctx, look, errors.New("nothing came"))
				_, err = b.Receive(ctx)
				cancel()
				require.ErrorContains(w, err, "nothing came")
				spun = used(w) - before
			}
			require.LessOrEqual(w, spun, 3*look/4, "of the processor, while nothing came")
			w.leave(b)
		}
	})
}

// used is the processor's time that this process has used.
func used(w *world) time.Duration {
	var u unix.Rusage
	require.NoError(w, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A connection that sends nothing, one that sends a byte at a time, and very
// many of them hold up nobody: neither those who were connected before, nor
// those who come amid them.
func TestSlowAndSilentConnectionsHoldUpNobody(t *testing.T) {
	over(t, []string{"unixsocket"}, ipcmgr.Config{}, func(w *world) {
		a, b := w.connect("a"), w.connect("b", ipcmgr.Logger(silent))
		w.raw("mallory")
		files := descriptors()
		slow := w.dial("b", "mallory")
		whole := w.envelope("mallory", "b", "slow")
		stream := append(binary.BigEndian.AppendUint32(nil, uint32(len(whole))), whole...)
		var many []*net.UnixConn
		for i := range 2000 {
			c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(w.route(), "b")})
			require.NoError(w, err)
			many = append(many, c)
			if i%20 == 0 {
				w.send(a, "b", "quick")
				require.Equal(w, []string{"quick"}, w.receive(b, 1))
				fresh := w.connect(fmt.Sprint("fresh", i))
				w.send(fresh, "b", "new")
				require.Equal(w, []string{"new"}, w.receive(b, 1))
				w.send(b, fresh.ID(), "back")
				require.Equal(w, []string{"back"}, w.receive(fresh, 1))
				w.leave(fresh)
				if len(stream) > 1 {
					_, err := slow.Write(stream[:1])
					require.NoError(w, err)
					stream = stream[1:]
				}
			}
		}
		_, err := slow.Write(stream)
		require.NoError(w, err)
		require.Equal(w, []string{"slow"}, w.receive(b, 1))
		for _, c := range many {
			c.Close()
		}
		w.send(a, "b", "last")
		require.Equal(w, []string{"last"}, w.receive(b, 1))
		settles(w, func() bool {
			b.Poll(w.ctx, 1) // sees the ends
			return descriptors() <= files+50
		}, func() string { return fmt.Sprintf("%d descriptors, there were %d", descriptors(), files) })
	})
}

// What is in the way of a client's socket is not followed or removed.
func TestSocketPathThatLeadsElsewhere(t *testing.T) {
	over(t, []string{"unixsocket"}, ipcmgr.Config{}, func(w *world) {
		a := w.connect("a")
		outside := filepath.Join(w.base, "outside")
		require.NoError(w, os.WriteFile(outside, []byte("secret"), 0o600))
		require.NoError(w, os.Symlink(outside, filepath.Join(w.route(), "b")))
		_, err := w.store.Connect(w.ctx, "b")
		require.ErrorContains(w, err, "is in the way")
		require.ErrorIs(w, a.Send(w.ctx, "b", 1), protocol.ErrNoPeer)
		data, err := os.ReadFile(outside)
		require.NoError(w, err)
		require.Equal(w, "secret", string(data))
	})
}
