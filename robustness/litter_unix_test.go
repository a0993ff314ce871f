//go:build unix

package robustness

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr"
)

// A FIFO where a mailbox was, which would hang whoever opens it, holds up nobody:
// not who takes the mailbox up, and not the store.
func TestFIFOInPlaceOfAMailbox(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		w.puppet("b").kill()
		require.NoError(w, os.RemoveAll(w.dot("box", "b")))
		require.NoError(w, unix.Mkfifo(w.dot("box", "b"), 0o600))
		done := make(chan error, 1)
		go func() {
			_, err := w.store.Connect(w.ctx, "b", ipcmgr.Resume())
			done <- err
		}()
		select {
		case err := <-done:
			w.Logf("taking it up gives %v", err)
		case <-w.ctx.Done():
			require.Fail(w, "the Connect hangs")
		}
		w.connect("a")
	})
}

// litterSpecial puts FIFOs, sockets and, as root, devices into a directory:
// opening one could block for ever.
func litterSpecial(w *world, dir string) {
	for _, name := range []string{"fifo", "fifo.ready", "0123456789abcdef-00000000000001-000000000004-000001-00000006.message"} {
		require.NoError(w, unix.Mkfifo(filepath.Join(dir, name), 0o600))
	}
	// A socket's path is short, so it is made elsewhere and moved.
	short := filepath.Join(w.base, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	require.NoError(w, err)
	l.SetUnlinkOnClose(false)
	require.NoError(w, os.Rename(short, filepath.Join(dir, "socket")))
	require.NoError(w, l.Close())
	const zero = 1<<8 | 5
	for _, name := range []string{"device", "device.ready"} {
		// Not everybody may; the links to a device are there in any case.
		_ = unix.Mknod(filepath.Join(dir, name), unix.S_IFCHR|0o600, zero)
	}
}
