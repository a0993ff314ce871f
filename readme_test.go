package ipcmgr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
)

// What README.md shows is true: its table of protocols is made from their
// Features, and each block of Go or shell in it is run.

// shown is what the table says of a protocol beside its Features, in the order
// of the table.
var shown = []struct{ name, route, purpose string }{
	{"mem", "a name in this process", "tests, examples, virtual time"},
	{"fsqueue", "a directory, one file per message or batch", "everything: look into it with `ls` and `cat` (`.ipcmgr/box/ID/new`), share it with Perl's MessageFiles"},
	{"unixsocket", "a directory, one stream socket per client", "live messaging; shares a store with Perl's ConnectionUnix"},
	{"bbolt", "a directory, one bbolt file per mailbox", "durability: each batch is a transaction"},
	{"shm", "a directory on tmpfs, a ring of shared memory per pair of clients", "speed: a system call only to wake who sleeps"},
}

func TestReadmeTable(t *testing.T) {
	yes := map[bool]string{true: "yes", false: "no"}
	lines := []string{
		"| protocol | route | suspends | redelivers | syncs | proves the sender | for |",
		"| --- | --- | --- | --- | --- | --- | --- |",
	}
	var names []string
	for _, s := range shown {
		p, err := protocol.Get(s.name)
		require.NoError(t, err)
		f := p.Features()
		lines = append(lines, fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s | %s |", s.name, s.route,
			yes[f.Suspends], yes[f.Redelivers], yes[f.Syncs], yes[f.Proves], s.purpose))
		names = append(names, s.name)
	}
	require.ElementsMatch(t, protocol.Names(), names, "each registered protocol is in the table")
	want := strings.Join(lines, "\n") + "\n"
	require.Contains(t, readme(t), "\n\n"+want, "the table of protocols in README.md should be:\n%s", want)
}

func TestReadmeGo(t *testing.T) {
	blocks := readmeBlocks(t, "go")
	require.NotEmpty(t, blocks)
	sources := map[string]string{}
	for n, b := range blocks {
		sources[fmt.Sprintf("block%d", n+1)] = program(b)
	}
	bin := buildBeside(t, sources)
	for n, b := range blocks {
		t.Run(fmt.Sprintf("block%d", n+1), func(t *testing.T) {
			runBlock(t, b, filepath.Join(bin, fmt.Sprintf("block%d", n+1)))
		})
	}
}

func TestReadmeShell(t *testing.T) {
	blocks := readmeBlocks(t, "sh")
	require.NotEmpty(t, blocks)
	bin := t.TempDir()
	build(t, "-o", bin+string(filepath.Separator), "./cmd/ipcmgr")
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	for n, b := range blocks {
		t.Run(fmt.Sprintf("block%d", n+1), func(t *testing.T) { runBlock(t, b, "sh", "-euc", b) })
	}
}

func readme(t *testing.T) string {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return string(text)
}

func readmeBlocks(t *testing.T, language string) []string {
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(readme(t), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// program makes a program of a block that is not one: its functions that take a
// context and a store run at once, over one store.
func program(block string) string {
	if strings.HasPrefix(block, "package main\n") {
		return block
	}
	used := map[string]string{"github.com/ipcmgr/ipcmgr/protocol/all": "_ ", "github.com/ipcmgr/ipcmgr/serializer/all": "_ "}
	for _, path := range []string{"context", "errors", "fmt", "time", "github.com/ipcmgr/ipcmgr"} {
		name := path[strings.LastIndex(path, "/")+1:]
		if slices.Contains([]string{"context", "ipcmgr"}, name) || strings.Contains(block, name+".") {
			used[path] = ""
		}
	}
	var b strings.Builder
	b.WriteString("package main\n\nimport (\n")
	for _, path := range slices.Sorted(maps.Keys(used)) {
		fmt.Fprintf(&b, "\t%s%q\n", used[path], path)
	}
	b.WriteString(")\n\n" + block + `
func main() {
	err := ipcmgr.Run(context.Background(), ipcmgr.Config{}, func(ctx context.Context, st *ipcmgr.Store) error {
		ended := make(chan error)
		functions := []func(context.Context, *ipcmgr.Store) error{`)
	for _, m := range regexp.MustCompile(`(?m)^func (\w+)\(ctx context\.Context, st \*ipcmgr\.Store\) error \{`).FindAllStringSubmatch(block, -1) {
		b.WriteString(m[1] + ", ")
	}
	b.WriteString(`}
		for _, f := range functions {
			go func() { ended <- f(ctx, st) }()
		}
		for range functions {
			if err := <-ended; err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
}
`)
	return b.String()
}

// buildBeside builds programs as if they lay in this module, without putting
// them there, and returns the directory of the results.
func buildBeside(t *testing.T, sources map[string]string) (bin string) {
	root, err := os.Getwd()
	require.NoError(t, err)
	dir := t.TempDir()
	bin = filepath.Join(dir, "bin")
	replace := map[string]string{}
	args := []string{"-o", bin + string(filepath.Separator), "-overlay", filepath.Join(dir, "overlay.json")}
	for name, text := range sources {
		file := filepath.Join(dir, name+".go")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		replace[filepath.Join(root, "internal", "readme", name, "main.go")] = file
		args = append(args, "./internal/readme/"+name)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	require.NoError(t, os.Mkdir(bin, 0o700))
	build(t, args...)
	return bin
}

func build(t *testing.T, args ...string) {
	tags := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-tags" { // the fallbacks are to be tried too
				tags = s.Value
			}
		}
	}
	out, err := exec.Command("go", append([]string{"build", "-tags", tags}, args...)...).CombinedOutput()
	require.NoError(t, err, string(out))
}

// runBlock runs a command, compares what it prints with the comment at the end
// of the block that says what it should, and holds that it leaves nothing
// behind.
func runBlock(t *testing.T, block, name string, args ...string) {
	place, err := os.MkdirTemp("", "readme") // short, for the addresses of sockets
	require.NoError(t, err)
	defer os.RemoveAll(place)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+place)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	require.Empty(t, trial.WithoutNotices(stderr.String()))
	if want, ok := outputComment(block); ok {
		require.Equal(t, want, strings.TrimSpace(string(out)))
	}
	left, _ := filepath.Glob(filepath.Join(place, "ipcmgr", "*"))
	require.Empty(t, left, "left behind")
}

var outputMark = regexp.MustCompile(`(?m)^(//|#) Output:[ \n]`)

func outputComment(block string) (string, bool) {
	at := outputMark.FindStringIndex(block)
	if at == nil {
		return "", false
	}
	var lines []string
	for line := range strings.Lines(block[at[1]:]) {
		line = strings.TrimPrefix(strings.TrimPrefix(line, "//"), "#")
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.TrimSpace(strings.Join(lines, "\n")), true
}
