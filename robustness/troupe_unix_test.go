//go:build unix

package robustness

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds what would otherwise hang for ever.
const patience = stuck

// member is a player as the director sees it: a part, and the process that
// plays it now.
type member struct {
	part
	role string
	cmd  *exec.Cmd
	in   io.WriteCloser
	says *bytes.Buffer // its standard error
	up   chan struct{} // closed when its main function has begun
	done chan struct{} // closed when it has ended, with err
	err  error
}

// start begins the next life of a member.
func (m *member) start() error {
	m.Life++
	data, err := json.Marshal(m.part)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	m.cmd = exec.Command(exe)
	// Without it a process under the race detector sleeps before it exits.
	race := "GORACE=atexit_sleep_ms=0 " + os.Getenv("GORACE")
	m.cmd.Env = append(os.Environ(), roleEnv+"="+m.role, partEnv+"="+string(data), race, "GOTRACEBACK=all")
	m.says = &bytes.Buffer{}
	m.cmd.Stderr = m.says
	if m.in, err = m.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := m.cmd.Start(); err != nil {
		return err
	}
	cmd, up, done := m.cmd, make(chan struct{}), make(chan struct{})
	m.up, m.done = up, done
	go func() {
		if bufio.NewScanner(out).Scan() {
			close(up)
		}
		_, _ = io.Copy(io.Discard, out)
		m.err = cmd.Wait()
		close(done)
	}()
	return nil
}

func (m *member) tell(what string) error {
	_, err := fmt.Fprintln(m.in, what)
	return err
}

func (m *member) signal(s unix.Signal) error { return unix.Kill(m.cmd.Process.Pid, s) }

// ended says whether the process has.
func (m *member) ended() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// begun waits until the process runs, which it must.
func (m *member) begun(t *testing.T) {
	t.Helper()
	select {
	case <-m.up:
	case <-m.done:
		t.Fatalf("%s ended in life %d before it began: %v\n%s", m.ID, m.Life, m.err, m.says)
	case <-time.After(patience):
		t.Fatalf("%s has not begun", m.ID)
	}
}

// kill ends the process, and returns when that is seen.
func (m *member) kill(t *testing.T) {
	t.Helper()
	if err := m.signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-m.done
}

// left waits until the process has ended by itself.
func (m *member) left(t *testing.T) {
	t.Helper()
	select {
	case <-m.done:
		if m.err != nil {
			t.Fatalf("%s ended in life %d: %v\n%s", m.ID, m.Life, m.err, m.says)
		}
	case <-time.After(patience):
		t.Errorf("%s does not end", m.ID)
	}
}

// stacks makes a process that hangs tell where.
func (m *member) stacks() string {
	if m.ended() {
		return fmt.Sprintf("%s has ended: %v\n%s\n", m.ID, m.err, m.says)
	}
	_ = m.signal(unix.SIGQUIT)
	_ = m.signal(unix.SIGCONT)
	select {
	case <-m.done:
	case <-time.After(patience / 10):
	}
	return fmt.Sprintf("%s in life %d:\n%s\n", m.ID, m.Life, m.says)
}
