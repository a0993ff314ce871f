package process

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const headlessVariable = "IPCMGR_TEST_HEADLESS"

// init runs on the first thread. In a headless child it ends that one alone.
func init() {
	if os.Getenv(headlessVariable) == "" {
		return
	}
	go func() {
		for s := (stat{}); s.state != 'Z'; s, _ = readStat(os.Getpid()) {
			runtime.Gosched()
		}
		fmt.Println("ready")
		io.Copy(os.Stdout, os.Stdin)
		os.Exit(0)
	}()
	syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
}

// A process whose first thread is a zombie is alive while another thread runs.
// One that is being killed is like that for a moment, and still has its locks:
// whoever took it for ended then would not be told of its end.
func TestFirstThreadIsAZombie(t *testing.T) {
	t.Setenv(headlessVariable, "1")
	c := start(t)
	id := c.id(t)
	require.True(t, Alive(id))
	e, err := Watch(id)
	require.NoError(t, err)
	defer e.Close()
	c.answers(t)
	require.NoError(t, c.Process.Kill())
	<-e.Done()
	require.False(t, Alive(id))
}
