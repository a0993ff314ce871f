package bbolt

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/protocoltest"
	"github.com/stretchr/testify/require"
)

// roleVar names, in a process that a test has started, what it is to do.
const roleVar = "IPCMGR_BBOLT_ROLE"

// roles are what a test binary that is started again can do.
var roles = map[string]func(args []string) error{
	"contend": contend,
	"echo":    echo,
	"hoard":   hoard,
	"send":    send,
}

func TestMain(m *testing.M) {
	role := os.Getenv(roleVar)
	if role == "" {
		protocoltest.Main(m)
	}
	tie()
	if err := roles[role](os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
}

// tie ends this process when the test that started it and writes to it has
// ended, however it did.
func tie() {
	info, err := os.Stdin.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	in, words, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	go func(from *os.File) {
		io.Copy(words, from)
		os.Exit(1)
	}(os.Stdin)
	os.Stdin = in
}

// A child that is busy ends with its test, too.
func TestChildEndsWithItsTest(t *testing.T) {
	s := spawn(t, false)
	b := connect(t, s, "b", protocol.New)
	c := start(t, "send", s.Route(), "1000000000", "1")
	c.says()
	fmt.Fprintln(c.in)
	_, err := b.Fetch(t.Context(), make([]protocol.Delivery, 1), true)
	require.NoError(t, err)
	require.NoError(t, c.in.Close())
	require.Error(t, c.cmd.Wait(), "it had more to do")
}

// child is a process that plays a role.
type child struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(t testing.TB, role string, args ...string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t, cmd, in, bufio.NewReader(out)}
	t.Cleanup(c.kill)
	return c
}

// say waits for the next line that the child writes.
func (c *child) says() string {
	c.t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatalf("the child ended: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

// kill ends the child at once, if it has not ended, and waits for it.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// wait waits for the child to end well.
func (c *child) wait() {
	c.t.Helper()
	if err := c.cmd.Wait(); err != nil {
		c.t.Fatal(err)
	}
}
