package robustness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
)

func init() { roles["orphan"] = playOrphan }

// playOrphan spawns a store with a client and messages in it, and stays.
func playOrphan() error {
	ctx := context.Background()
	s, err := ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{os.Args[1]}, Route: strings.Join(os.Args[2:], "")})
	if err != nil {
		return err
	}
	for _, id := range []string{"o", "an id/that is hashed"} {
		c, err := s.Connect(ctx, id)
		if err != nil {
			return err
		}
		if err := c.Send(ctx, id, "unread"); err != nil {
			return err
		}
	}
	fmt.Println(s.Info())
	os.Stdin.Read(make([]byte, 1))
	return errors.New("it was to be killed")
}

// orphan is a store whose owner is a process of its own.
type orphan struct {
	info  ipcmgr.Info
	owner *exec.Cmd
}

func (w *world) orphan(route ...string) *orphan {
	w.Helper()
	cmd, _, out := w.start("orphan", append([]string{w.protocol()}, route...)...)
	line, err := out.ReadString('\n')
	require.NoError(w, err)
	i, err := ipcmgr.ParseInfo(strings.TrimSpace(line))
	require.NoError(w, err)
	return &orphan{i, cmd}
}

func (o *orphan) kill() {
	o.owner.Process.Kill()
	o.owner.Wait()
}

// client starts a process that holds a client of the orphan.
func (w *world) clientOf(o *orphan, id string) *puppet {
	p := &puppet{w: w, id: id}
	own := w.store
	defer func() { w.store = own }()
	var err error
	w.store, err = ipcmgr.Open(w.ctx, o.info.String())
	require.NoError(w, err)
	w.Cleanup(func() { p.cmd.Process.Kill() })
	defer w.store.Close()
	p.begin()
	require.Empty(w, p.hear().Err)
	return p
}

// collect collects, and gives the routes of this test: others of the same user
// may have left stores elsewhere.
func (w *world) collect() []string {
	w.Helper()
	gone, err := ipcmgr.Collect(w.ctx)
	require.NoError(w, err)
	return slices.DeleteFunc(gone, func(route string) bool { return filepath.Dir(route) != filepath.Dir(w.route()) })
}

// What collects takes a temporary store when its owner and all its clients are
// dead, and nothing remains of it; it touches none that lives, and no
// persistent one; and it signals nobody.
func TestCollectLeavesNothingOfTheDeadAndAllOfTheLiving(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		base := filepath.Dir(w.route())
		dead, inUse := w.orphan(), w.orphan()
		client := w.clientOf(inUse, "x")
		persistent := w.orphan(filepath.Join(base, "persist1"))
		before := tree(w, persistent.info.Route)
		for _, o := range []*orphan{dead, inUse, persistent} {
			o.kill()
		}
		require.Equal(w, []string{dead.info.Route}, w.collect())
		require.NoDirExists(w, dead.info.Route)
		require.Equal(w, before, tree(w, persistent.info.Route))

		// The client of the other never noticed.
		require.Equal(w, answer{N: 1}, client.do(order{Op: "send", To: "x", N: 1, As: "to myself "}))
		require.Equal(w, answer{Texts: []string{"to myself 0"}}, client.do(order{Op: "receive", N: 1}))
		require.NoError(w, client.cmd.Process.Kill())
		client.cmd.Wait()
		require.Equal(w, []string{inUse.info.Route}, w.collect())
		left, err := os.ReadDir(base)
		require.NoError(w, err)
		require.Len(w, left, 2, "the test's own and the persistent one: %v", left)

		again, err := ipcmgr.Adopt(w.ctx, ipcmgr.Config{Protocol: ipcmgr.Names{w.protocol()}, Route: persistent.info.Route})
		require.NoError(w, err)
		require.NoError(w, again.Unspawn(w.ctx))
		require.NoError(w, again.Close())
		require.NoDirExists(w, persistent.info.Route)
	})
}

// Who connects to a store that is being collected either gets in, and then it
// stays, or is told that there is none.
func TestCollectAgainstConnect(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		const rounds = 12
		in := 0
		for range rounds {
			o := w.orphan()
			s, err := ipcmgr.Open(w.ctx, o.info.String())
			require.NoError(w, err)
			o.kill()
			connected := make(chan ipcmgr.Client, 1)
			go func() {
				c, err := s.Connect(w.ctx, "late")
				if err != nil && !errors.Is(err, ipcmgr.ErrNoStore) {
					w.Error(err)
				}
				connected <- c
			}()
			_, err = ipcmgr.Collect(w.ctx)
			require.NoError(w, err)
			if c := <-connected; c != nil {
				in++
				w.send(c, "late", "still here")
				require.Equal(w, []string{"still here"}, w.receive(c, 1))
				w.leave(c)
				_, err = ipcmgr.Collect(w.ctx)
				require.NoError(w, err)
			}
			require.NoDirExists(w, o.info.Route)
			require.NoError(w, s.Close())
		}
		w.Logf("%d of %d got in", in, rounds)
	})
}
