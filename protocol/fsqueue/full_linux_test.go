package fsqueue_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol/fsqueue"
)

func init() {
	// fill DIRECTORY SYNC: lives on a small disk.
	acts["fill"] = func(ctx context.Context, args []string, _ *bufio.Reader, out io.Writer) error {
		if err := trial.MountSmallDisk(args[0], 1<<20); err != nil {
			return err
		}
		s := settings()
		s.Sync = args[1] == "true"
		st, err := fsqueue.Protocol{}.Spawn(ctx, filepath.Join(args[0], "route"), s)
		if err != nil {
			return err
		}
		if err := trial.Fill(ctx, st, args[0], out); err != nil {
			return err
		}
		return st.Unspawn(ctx)
	}
}

// A disk that is really full.
func TestFullDisk(t *testing.T) {
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync=%v", sync), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], t.TempDir(), fmt.Sprint(sync))
			cmd.Env = append(os.Environ(), actVar+"=fill")
			trial.OnSmallDisk(cmd)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			t.Logf("%s", out)
		})
	}
}
