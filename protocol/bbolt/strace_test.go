//go:build linux && strace

package bbolt

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/stretchr/testify/require"
)

func init() { roles["live"] = live }

// live is a life of a store with Sync: ROUTE.
func live(args []string) error {
	runtime.LockOSThread() // strace counts the calls of a thread
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return trial.Live(ctx, func() (protocol.Store, error) {
		return Protocol{}.Spawn(ctx, args[0], protocol.Settings{MaxFrame: 1 << 20, Sync: true})
	}, os.Stdout)
}

// traced lives in a process under strace.
func traced(t *testing.T, route string, options ...string) (journal string, trace []string, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], route)
	cmd.Env = append(os.Environ(), roleVar+"=live", "GOMAXPROCS=1")
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
		"openat": "EMFILE", "write": "ENOSPC", "pwrite64": "ENOSPC", "fdatasync": "EIO", "fsync": "EIO", "renameat": "EDQUOT",
		"unlinkat": "EIO", "mkdirat": "ENOSPC", "ftruncate": "ENOSPC", "fchmod": "EIO", "newfstatat": "EIO", "fstat": "EIO",
		"pread64": "EIO", "close": "EINTR", "flock": "ENOLCK", "linkat": "EIO", "mknodat": "ENOSPC",
	} {
		for when, step := 1, 0; when < 100; when += 1 + step {
			if call != "pread64" { // those few read pages: a file was taken for damaged when one failed
				step = when / 4
			}
			route := filepath.Join(t.TempDir(), "s")
			journal, trace, err := traced(t, route, "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", call, errno, when))
			faults++
			if !slices.ContainsFunc(trace, func(line string) bool { return strings.HasSuffix(line, "(INJECTED)") }) {
				require.NoError(t, err)
				break
			}
			hits++
			st, openErr := Protocol{}.Open(t.Context(), route)
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

// With Sync the pages are on disk before the one that makes them count, and that
// before Deliver returns; what is handed out is on record before Fetch returns,
// and what is acknowledged before Ack does.
func TestStraceSyncs(t *testing.T) {
	_, trace, err := traced(t, filepath.Join(t.TempDir(), "s"), "-e", "trace=write,pwrite64,fdatasync")
	require.NoError(t, err)
	line := func(call string) string { return `\n` + call + `[^\n]*` }
	text := "\n" + strings.Join(trace, "\n")
	// between gives the calls between two lines of the journal.
	between := func(file, from, to string) string {
		note := func(text string) string { return line(`write\(\d+<[^>]*>, "` + regexp.QuoteMeta(text) + `\\n"`) }
		found := regexp.MustCompile(note(from) + `((?s).*?)` + note(to)).FindStringSubmatch(text)
		require.NotNil(t, found, text)
		calls := ""
		for _, call := range strings.Split(strings.TrimSpace(found[1]), "\n") {
			if regexp.MustCompile(`^\w+\(\d+</[^>]*/bo/` + file + `>`).MatchString(call) {
				name, _, _ := strings.Cut(call, "(")
				calls += name + " "
			}
		}
		return calls
	}
	require.Regexp(t, `^(pwrite64 )+fdatasync pwrite64 fdatasync $`, between("messages", "+message 1", "=message 1"))
	require.Equal(t, "fdatasync ", between("marks", "=message 5", "-message 1"), "Fetch")
	require.Equal(t, "fdatasync ", between("marks", "-message 3", "_message 1"), "Ack")
	require.Empty(t, between("messages", "-message 3", "_message 1"), "Ack")
}
