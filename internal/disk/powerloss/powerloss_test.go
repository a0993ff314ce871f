package powerloss_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/disk/powerloss"
)

// outcomes are all that cuts after the first at calls were seen to leave.
func outcomes(t *testing.T, r *powerloss.Recorder, at int) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	lots := rand.New(rand.NewPCG(1, uint64(at)))
	for i := range 150 {
		fate := powerloss.Chance(lots)
		switch i {
		case 0:
			fate = powerloss.None
		case 1:
			fate = powerloss.All
		}
		to := filepath.Join(t.TempDir(), "left")
		require.NoError(t, r.Rebuild(at, fate, to))
		all[look(t, to)] = true
	}
	return all
}

// look describes a directory: what is in it, in order.
func look(t *testing.T, dir string) (text string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		require.NoError(t, err)
		name, _ := filepath.Rel(dir, path)
		switch {
		case path == dir:
		case e.IsDir():
			text += name + "/ "
		default:
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			text += fmt.Sprintf("%s=%q ", name, data)
		}
		return nil
	}))
	return text
}

func set(texts ...string) map[string]bool {
	all := map[string]bool{}
	for _, text := range texts {
		all[text] = true
	}
	return all
}

// The usual way to replace a file is safe from the first call to the last; the
// lazy one is not.
func TestCuts(t *testing.T) {
	r := powerloss.New(disk.Real, t.TempDir())
	d, err := r.OpenDir(r.Root())
	require.NoError(t, err)
	defer d.Close()
	require.NoError(t, disk.WriteFile(d, d, "a", []byte("1"), true))
	require.Equal(t, set(`a="1" `), outcomes(t, r, r.Now()))
	before := r.Now()

	f, err := d.Create("b")
	require.NoError(t, err)
	_, err = f.Write([]byte("22"))
	require.NoError(t, err)
	require.Equal(t, set(`a="1" `, `a="1" b="" `, `a="1" b="2" `, `a="1" b="22" `, `a="1" b="\x00" `, `a="1" b="\x00\x00" `), outcomes(t, r, r.Now()))
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	require.Equal(t, set(`a="1" `, `a="1" b="22" `), outcomes(t, r, r.Now()))
	require.NoError(t, d.Rename("b", d, "a"))
	require.Equal(t, set(`a="1" `, `a="1" b="22" `, `a="22" `), outcomes(t, r, r.Now()))
	require.NoError(t, d.Sync())
	require.Equal(t, set(`a="22" `), outcomes(t, r, r.Now()))
	require.Equal(t, set(`a="1" `), outcomes(t, r, before))
}

// What is in a directory stays with it, and a directory that is removed was
// empty.
func TestCutsOfDirectories(t *testing.T) {
	r := powerloss.New(disk.Real, t.TempDir())
	d, err := r.OpenDir(r.Root())
	require.NoError(t, err)
	defer d.Close()
	for _, name := range []string{"from", "to"} {
		require.NoError(t, d.Mkdir(name))
	}
	from, err := d.Sub("from")
	require.NoError(t, err)
	defer from.Close()
	to, err := d.Sub("to")
	require.NoError(t, err)
	defer to.Close()
	f, err := from.Create("x")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, from.Sync())
	require.Equal(t, set("", "from/ from/x=\"\" ", "to/ ", "from/ from/x=\"\" to/ "), outcomes(t, r, r.Now()), "a Sync does not keep the directory's own name")
	require.NoError(t, d.Sync())
	require.NoError(t, from.Rename("x", to, "y"))
	require.NoError(t, d.Rmdir("from"))
	require.Equal(t, set("from/ from/x=\"\" to/ ", "from/ to/ to/y=\"\" ", "to/ to/y=\"\" "), outcomes(t, r, r.Now()))
	require.NoError(t, d.Sync())
	require.Equal(t, set("to/ to/y=\"\" "), outcomes(t, r, r.Now()))
}
