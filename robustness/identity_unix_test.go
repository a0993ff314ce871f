//go:build unix

package robustness

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr"
)

func init() {
	roles["stranger"] = playStranger
	roles["masked"] = playMasked
	roles["forger"] = playForger
}

// nobody is a user who owns nothing here.
const nobody = 65534

// become makes this process one of another user, which only root can.
func become(uid int) error {
	if unix.Geteuid() != 0 {
		return nil
	}
	return errors.Join(unix.Setgroups(nil), unix.Setgid(uid), unix.Setuid(uid))
}

// Modes are right under any umask, so that no other user can get at anything.
func TestModesUnderAnyUmask(t *testing.T) {
	for _, mask := range []string{"0", "777"} {
		t.Run("umask "+mask, func(t *testing.T) {
			over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
				route := filepath.Join(w.base, "masked")
				if unix.Geteuid() == 0 { // root may do all whatever the mode is
					require.NoError(w, os.Chmod(w.base, 0o711))
					route = filepath.Join(w.base, "nobody", "masked")
					require.NoError(w, os.Mkdir(filepath.Dir(route), 0o700))
					require.NoError(w, os.Chown(filepath.Dir(route), nobody, nobody))
				}
				_, in, out := w.start("masked", w.protocol(), route, mask)
				line, err := out.ReadString('\n')
				require.NoError(w, err)
				require.Equal(w, "ready\n", line)
				files := 0
				require.NoError(w, filepath.WalkDir(route, func(path string, e fs.DirEntry, err error) error {
					require.NoError(w, err)
					info, err := e.Info()
					require.NoError(w, err)
					want := fs.FileMode(0o600)
					if e.IsDir() {
						want = 0o700
					}
					require.Equal(w, want, info.Mode().Perm(), path)
					files++
					return nil
				}))
				require.Greater(w, files, 20)
				require.NoError(w, in.Close())
				_, err = out.ReadString('\n')
				require.Error(w, err)
				require.NoDirExists(w, route)
			})
		})
	}
}

// playMasked goes through the life of a store under a umask, as a user to whom
// modes mean something.
func playMasked() error {
	mask, err := strconv.ParseInt(os.Args[3], 8, 32)
	if err != nil {
		return err
	}
	if err := become(nobody); err != nil {
		return err
	}
	unix.Umask(int(mask))
	ctx := context.Background()
	s, err := ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{os.Args[1]}, Route: os.Args[2]})
	if err != nil {
		return err
	}
	var cs []ipcmgr.Client
	for _, id := range []string{"a", "b", "a name/that is hashed"} {
		c, err := s.Connect(ctx, id)
		if err != nil {
			return err
		}
		cs = append(cs, c)
	}
	for _, to := range cs {
		for range 3 {
			if err := cs[0].Send(ctx, to.ID(), "x"); err != nil {
				return err
			}
		}
		m, err := to.Receive(ctx)
		if err != nil {
			return err
		}
		if err := m.Reject(ctx, errors.New("set aside")); err != nil {
			return err
		}
		if err := to.WriteStats(ctx); err != nil {
			return err
		}
	}
	if s.Features().Suspends {
		if err := cs[1].Suspend(ctx, noDeadline); err != nil {
			return err
		}
	}
	other, err := ipcmgr.Open(ctx, s.Info().String())
	if err != nil {
		return err
	}
	if _, err := other.Peers(ctx); err != nil {
		return err
	}
	if err := other.Close(); err != nil {
		return err
	}
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
	for _, c := range s.Clients() {
		if err := c.Disconnect(ctx, func(*ipcmgr.Message) error { return nil }); err != nil {
			return err
		}
	}
	return s.Unspawn(ctx)
}

// A process of another user can neither open nor read, send, connect or delete:
// whether he is kept out by the directory of a temporary store, by a route that
// was made, or by the store itself, which is in a directory that he can list.
// Where the test is not run by root, the modes are what it has to show for it.
func TestAnotherUserGetsNowhere(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		require.NoError(w, os.Chmod(w.base, 0o755))
		private := []string{filepath.Dir(w.route()), w.route(), w.dot()}
		for _, path := range private {
			hasMode(w, path, 0o700)
		}
		w.getsNowhere(w.store, private...)

		route := filepath.Join(w.base, "made")
		s := w.spawnAt(route)
		hasMode(w, w.base, 0o755)
		hasMode(w, route, 0o700)
		w.getsNowhere(s, route, filepath.Join(route, ".ipcmgr"))

		route = filepath.Join(w.base, "found")
		require.NoError(w, os.Mkdir(route, 0o755))
		require.NoError(w, os.Chmod(route, 0o755))
		s = w.spawnAt(route)
		hasMode(w, route, 0o755)
		hasMode(w, filepath.Join(route, ".ipcmgr"), 0o700)
		w.getsNowhere(s, filepath.Join(route, ".ipcmgr"))
	})
}

func hasMode(w *world, path string, mode fs.FileMode) {
	w.Helper()
	info, err := os.Lstat(path)
	require.NoError(w, err)
	require.Equal(w, mode, info.Mode().Perm(), path)
}

// spawnAt makes one more store of the same protocol.
func (w *world) spawnAt(route string) *ipcmgr.Store {
	w.Helper()
	s, err := ipcmgr.Spawn(w.ctx, ipcmgr.Config{Protocol: ipcmgr.Names{w.protocol()}, Route: route})
	require.NoError(w, err)
	w.Cleanup(func() { s.Shutdown(w.ctx) })
	return s
}

// getsNowhere lets a stranger try all he can with a store. He can look into none
// of the private directories.
func (w *world) getsNowhere(s *ipcmgr.Store, private ...string) {
	w.Helper()
	b, err := s.Connect(w.ctx, "b")
	require.NoError(w, err)
	w.send(b, "b", "secret")
	route := s.Info().Route
	before := tree(w, route)
	if unix.Geteuid() == 0 {
		_, _, out := w.start("stranger", append([]string{s.Info().String(), route}, private...)...)
		line, err := out.ReadString('\n')
		require.NoError(w, err)
		require.Equal(w, "got nowhere\n", line)
	}
	require.Equal(w, before, tree(w, route))
	require.Equal(w, []string{"secret"}, w.receive(b, 1))
	require.NoError(w, b.Disconnect(w.ctx, nil))
}

func playStranger() error {
	if err := become(nobody); err != nil {
		return err
	}
	ctx, info, route, private := context.Background(), os.Args[1], os.Args[2], os.Args[3:]
	if s, err := ipcmgr.Open(ctx, info); err == nil {
		return fmt.Errorf("opened %v", s)
	}
	if s, err := ipcmgr.Spawn(ctx, ipcmgr.Config{Route: route}); err == nil {
		return fmt.Errorf("spawned %v", s)
	}
	if gone, err := ipcmgr.Collect(ctx); err != nil || len(gone) > 0 {
		return fmt.Errorf("collected %v, %v", gone, err)
	}
	for _, path := range append(private, filepath.Join(route, ".ipcmgr", "box", "b")) {
		if _, err := os.ReadDir(path); !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("list %s: %w", path, err)
		}
	}
	for _, path := range append(private, route, filepath.Join(route, ".ipcmgr", "peers")) {
		if err := os.WriteFile(filepath.Join(path, "new"), nil, 0o600); !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("write in %s: %w", path, err)
		}
	}
	for _, path := range []string{route, filepath.Join(route, ".ipcmgr")} {
		if err := os.RemoveAll(path); !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("remove %s: %w", path, err)
		}
		if err := os.Rename(path, path+"-mine"); !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("rename %s: %w", path, err)
		}
	}
	if c, err := net.Dial("unix", filepath.Join(route, "b")); err == nil {
		return fmt.Errorf("connected to %v", c.RemoteAddr())
	}
	fmt.Println("got nowhere")
	return nil
}

// A store is neither made nor opened in a directory that others can change, or
// that is not ours, or that a symbolic link leads to.
func TestUnsafeDirectoriesAreRefused(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		dir := func(name string, mode fs.FileMode) string {
			path := filepath.Join(w.base, name)
			require.NoError(w, os.Mkdir(path, 0o700))
			require.NoError(w, os.Chmod(path, mode))
			return path
		}
		link := filepath.Join(w.base, "link")
		require.NoError(w, os.Symlink(dir("real", 0o700), link))
		unsafe := map[string]string{
			link:                    "symbolic link",
			link + "/":              "symbolic link",
			dir("others", 0o777):    "can be changed by other users",
			dir("sticky", 0o1777):   "can be changed by other users",
			dir("group", 0o770):     "can be changed by other users",
			dir("foreign", 0o755):   "belongs to uid",
			"/proc/self/fd/missing": "",
		}
		if unix.Geteuid() == 0 {
			require.NoError(w, os.Chown(filepath.Join(w.base, "foreign"), nobody, nobody))
		} else {
			delete(unsafe, filepath.Join(w.base, "foreign"))
			unsafe["/usr"] = "belongs to uid"
		}
		for path, why := range unsafe {
			_, err := ipcmgr.Spawn(w.ctx, ipcmgr.Config{Protocol: ipcmgr.Names{w.protocol()}, Route: path})
			require.ErrorContains(w, err, why, path)
		}
		// Nor when it becomes so later.
		s, err := ipcmgr.Spawn(w.ctx, ipcmgr.Config{Protocol: ipcmgr.Names{w.protocol()}, Route: filepath.Join(w.base, "r")})
		require.NoError(w, err)
		require.NoError(w, os.Chmod(filepath.Join(w.base, "r"), 0o707))
		_, err = ipcmgr.Open(w.ctx, s.Info().String())
		require.ErrorContains(w, err, "can be changed by other users")
		require.NoError(w, os.Chmod(filepath.Join(w.base, "r"), 0o700))
		require.NoError(w, s.Shutdown(w.ctx))
	})
}

// A second process cannot take the id of a client that lives, in any way.
func TestLivingIDCannotBeTaken(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		w.puppet("b")
		for _, opts := range [][]ipcmgr.ConnectOption{nil, {ipcmgr.Resume()}, {ipcmgr.Fresh()}} {
			_, err := w.store.Connect(w.ctx, "b", opts...)
			require.ErrorIs(w, err, ipcmgr.ErrPeerActive)
		}
		_, err := w.store.Reconnect(w.ctx, "b")
		require.ErrorIs(w, err, ipcmgr.ErrPeerActive)
	})
}

// A record that somebody wrote does not make a living peer of a process that
// did not: what proves life is a lock.
func TestForgedRecordIsNoLivingPeer(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		token := fmt.Sprintf("%d-1-forged", os.Getppid())
		require.NoError(w, os.WriteFile(w.dot("procs", token), nil, 0o600))
		record := fmt.Sprintf(`{"id":"b","epoch":1,"state":"active","since":"2026-01-01T00:00:00Z","pid":%d,"start":1,"token":%q}`, os.Getppid(), token)
		require.NoError(w, os.WriteFile(w.dot("peers", "b"), []byte(record), 0o600))
		peers, err := w.store.Peers(w.ctx)
		require.NoError(w, err)
		i := indexOf(peers, "b")
		require.GreaterOrEqual(w, i, 0)
		require.Equal(w, ipcmgr.Crashed, peers[i].State)
		_, err = w.store.Connect(w.ctx, "b", ipcmgr.Resume())
		require.NoError(w, err)
	})
}

// Elsewhere, hello and from are forged. Over sockets, the kernel tells who
// dialled: nobody can speak as a client of another process, and what a client
// says in another's name is set aside. Over files and memory all clients are
// one user's, and from is that user's claim.
func TestForgedSenderIsSetAside(t *testing.T) {
	over(t, []string{"unixsocket"}, ipcmgr.Config{}, func(w *world) {
		told := make(chan *ipcmgr.CorruptError, 1)
		b := w.connect("b", ipcmgr.OnCorrupt(func(e *ipcmgr.CorruptError) { told <- e }))
		a, mallory := w.connect("a"), w.raw("mallory")
		forged := w.envelope("a", "b", "forged")
		_, err := mallory.Deliver(w.ctx, "b", frame(forged), true)
		require.NoError(w, err)
		w.send(a, "b", "true")
		require.Equal(w, []string{"true"}, w.receive(b, 1))
		require.ErrorContains(w, <-told, `claims to be from "a", but "mallory" sent it`)
		require.EqualValues(w, 1, b.Stats().Corrupt["mallory"])

		// And not even with a connection of its own.
		_, _, out := w.start("forger", filepath.Join(w.route(), "b"), string(w.hello("a")), string(forged))
		line, err := out.ReadString('\n')
		require.NoError(w, err)
		require.Equal(w, "refused\n", line)
		ms, err := b.Poll(w.ctx, 10)
		require.NoError(w, err)
		require.Empty(w, ms)
	})
}

// playForger says hello in the name of another process's client.
func playForger() error {
	c, err := net.Dial("unix", os.Args[1])
	if err != nil {
		return err
	}
	var stream []byte
	for _, f := range os.Args[2:] {
		stream = append(binary.BigEndian.AppendUint32(stream, uint32(len(f))), f...)
	}
	if _, err := c.Write(stream); err != nil && !errors.Is(err, unix.EPIPE) {
		return err
	}
	if n, err := c.Read(make([]byte, 1)); err == nil {
		return fmt.Errorf("%d bytes came back", n)
	}
	fmt.Println("refused")
	return nil
}

// A message's file that belongs to another user was put there by one who may
// not. Only root can try it; without, the modes keep everybody out.
func TestFileOfAnotherUserIsSetAside(t *testing.T) {
	over(t, []string{"fsqueue"}, ipcmgr.Config{}, func(w *world) {
		b := w.connect("b", ipcmgr.Logger(silent))
		foreign := []string{
			w.dot("box", "b", "new", "0123456789abcdef-00000000000001-000000000001-000001-00000001.message"),
			filepath.Join(w.route(), "b", "x.ready"),
		}
		if unix.Geteuid() == 0 {
			for _, path := range foreign {
				require.NoError(w, os.WriteFile(path, []byte("x"), 0o644))
				require.NoError(w, os.Chown(path, nobody, nobody))
			}
		}
		w.send(b, "b", "ours")
		require.Equal(w, []string{"ours"}, w.receive(b, 1))
		for _, path := range foreign {
			require.NoFileExists(w, path)
		}
		if unix.Geteuid() != 0 {
			return
		}
		kept, err := os.ReadDir(w.dot("corrupt", "b"))
		require.NoError(w, err)
		reasons := 0
		for _, e := range kept {
			text, err := os.ReadFile(w.dot("corrupt", "b", e.Name()))
			require.NoError(w, err)
			if filepath.Ext(e.Name()) == ".reason" {
				require.Contains(w, string(text), "belongs to user 65534")
				reasons++
			}
		}
		require.Equal(w, 2, reasons)
		require.True(w, slices.ContainsFunc(kept, func(e os.DirEntry) bool { return filepath.Ext(e.Name()) != ".reason" }))
	})
}
