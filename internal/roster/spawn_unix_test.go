//go:build unix

package roster

import (
	"context"
	"io/fs"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
)

func init() {
	roles["umask"] = func(args []string) {
		mask, err := strconv.ParseInt(args[1], 8, 32)
		check(err)
		syscall.Umask(int(mask))
		ctx := context.Background()
		r, err := perlKind.Spawn(ctx, args[0], settings)
		check(err)
		e, err := r.Enter(ctx, options("a", protocol.New), noSetup)
		check(err)
		check(e.Publish(ctx, nil, []byte("stats")))
		check(r.End(ctx))
		check(r.Disown(ctx))
		check(r.Own(ctx, false))
		stay("done")
	}
}

func TestModesUnderAnyUmask(t *testing.T) {
	for _, mask := range []string{"0", "777"} {
		route := filepath.Join(newRoute(t), "route")
		c := start(t, "umask", route, mask)
		require.Equal(t, "done", c.line())
		require.NoError(t, filepath.WalkDir(route, func(path string, e fs.DirEntry, err error) error {
			require.NoError(t, err)
			info, err := e.Info()
			require.NoError(t, err)
			want := fs.FileMode(0o600)
			if e.IsDir() {
				want = 0o700
			}
			require.Equal(t, want, info.Mode().Perm(), "%s under umask %s", path, mask)
			return nil
		}))
	}
}
