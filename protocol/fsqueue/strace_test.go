//go:build linux && strace

package fsqueue_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/disk/diskfault"
	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/fsqueue"
)

func init() {
	// live ROUTE: a life of a store with Sync, and the paths that it changed.
	acts["live"] = func(ctx context.Context, args []string, _ *bufio.Reader, out io.Writer) error {
		runtime.LockOSThread() // strace counts the calls of a thread
		s := settings()
		s.Sync = true
		fsys := diskfault.New(disk.Real, nil)
		err := trial.Live(ctx, func() (protocol.Store, error) {
			return fsqueue.SpawnOver(ctx, fsys, args[0], s)
		}, out)
		for _, c := range fsys.Calls() {
			fmt.Fprintln(out, "seam", filepath.Clean(c.Path))
			fmt.Fprintln(out, "seam", filepath.Clean(c.To))
		}
		return err
	}
}

// live lives in a process under strace.
func live(t *testing.T, route string, options ...string) (journal string, trace []string, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], route)
	cmd.Env = append(os.Environ(), actVar+"=live", "GOMAXPROCS=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	trace, err = trial.Strace(cmd, options...)
	if err != nil {
		err = fmt.Errorf("%w: %s", err, errs.String())
	}
	return out.String(), trace, err
}

// Each system call is made to fail in turn. What a real process was told is
// true, and the next one finds a store that works.
func TestStraceEachSystemCallFails(t *testing.T) {
	faults, hits := 0, 0
	for call, errno := range map[string]string{
		"openat": "EMFILE", "write": "ENOSPC", "fsync": "EIO", "renameat": "EDQUOT", "unlinkat": "EIO", "mkdirat": "ENOSPC",
		"fchmodat": "EIO", "getdents64": "EIO", "newfstatat": "EIO", "fstat": "EIO", "read": "EIO", "close": "EINTR", "flock": "ENOLCK",
	} {
		for when := 1; when < 100; when += 1 + when/4 {
			route := filepath.Join(t.TempDir(), "route")
			journal, trace, err := live(t, route, "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", call, errno, when))
			faults++
			if slices.ContainsFunc(trace, func(line string) bool { return strings.HasSuffix(line, "(INJECTED)") }) {
				hits++
			} else {
				require.NoError(t, err)
				break
			}
			st, openErr := fsqueue.Protocol{}.Open(t.Context(), route)
			if openErr != nil {
				require.Zero(t, trial.Accepted(journal), "%s %s at %d: %v, %v", call, errno, when, err, openErr)
				continue
			}
			require.NoError(t, trial.Judge(t.Context(), st, journal), "%s %s at %d: %v\n%s", call, errno, when, err, journal)
			require.NoError(t, st.Close())
		}
	}
	trial.Report(t, "%d runs, %d with a fault", faults, hits)
}

// With Sync the file is on disk before it has its name, and that before Deliver
// returns.
func TestStraceSyncs(t *testing.T) {
	_, trace, err := live(t, filepath.Join(t.TempDir(), "route"), "-e", "trace=write,fsync,renameat")
	require.NoError(t, err)
	text := strings.Join(trace, "\n")
	// Between two of them may be what other threads do.
	line := func(call string) string { return `(?:\n[^\n]*)*?\n` + call + `[^\n]*` }
	require.Regexp(t, regexp.MustCompile(
		line(`write\(\d+<[^>]*>, "\+message 1\\n"`)+
			line(`write\(\d+</[^>]*/al/draft/1>, "message 1"`)+
			line(`fsync\(\d+</[^>]*/al/draft/1>`)+
			line(`renameat\(\d+</[^>]*/al/draft>, "1", \d+</[^>]*/bo/new>`)+
			`(?:`+line(`write\(\d+</[^>]*/bell>`)+`)?`+
			line(`fsync\(\d+</[^>]*/bo/new>`)+
			line(`write\(\d+<[^>]*>, "=message 1\\n"`)), "\n"+text)
}

// beside are the files that are not reached through the seam: locks, which
// belong to the kernel, shared memory, and bells.
var beside = regexp.MustCompile(`/\.ipcmgr(-[a-z0-9]{8})?/(lock|procs/[^/]+|box/[^/]+/(gate|\.words-\d+|bell|lobby|(waiters|called)(/[^/]+)?))$`)

// Every change that a process makes in a store, but for those, is one that the
// tests of failing calls and of power cuts see.
func TestStraceNothingBypassesTheSeam(t *testing.T) {
	route := filepath.Join(t.TempDir(), "route")
	journal, trace, err := live(t, route, "-e", "trace=openat,renameat,renameat2,rename,unlinkat,unlink,mkdirat,mkdir,linkat,link,symlinkat,mknodat,mknod,ftruncate,truncate,rmdir,creat,open")
	require.NoError(t, err)
	seam := map[string]bool{}
	for line := range strings.Lines(journal) {
		if path, ok := strings.CutPrefix(line, "seam "); ok {
			seam[strings.TrimSpace(path)] = true
		}
	}
	named := regexp.MustCompile(`(?:(?:\d+|AT_FDCWD)<([^>]*)>, )?"([^"]*)"`)
	changes := 0
	for _, line := range trace {
		if strings.HasPrefix(line, "open") && !strings.Contains(line, "O_CREAT") {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(line, -1) {
			path := m[2]
			if !filepath.IsAbs(path) {
				path = filepath.Join(m[1], path)
			}
			if path != route && !strings.HasPrefix(path, route+"/") {
				continue
			}
			changes++
			require.True(t, seam[path] || beside.MatchString(path), line)
		}
	}
	require.Greater(t, changes, 50)
}
