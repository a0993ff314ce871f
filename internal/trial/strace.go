package trial

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Strace runs a command under strace(1) with further options, and gives the
// lines of the trace, in the order in which the calls began; descriptors have
// their paths. The error is the command's.
func Strace(cmd *exec.Cmd, options ...string) (trace []string, err error) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return nil, fmt.Errorf("install strace: %w", err)
	}
	file, err := os.CreateTemp("", "strace-*")
	if err != nil {
		return nil, err
	}
	file.Close()
	defer os.Remove(file.Name())
	args := append([]string{"strace", "-f", "-qq", "-y", "-s", "256", "-o", file.Name()}, options...)
	cmd.Args = append(append(args, cmd.Path), cmd.Args[1:]...)
	cmd.Path = strace
	err = cmd.Run()
	data, readErr := os.ReadFile(file.Name())
	return calls(string(data)), errors.Join(err, readErr)
}

// calls joins the two halves of what strace wrote of a call during which another
// thread made one.
func calls(text string) (trace []string) {
	begun := map[string]int{} // by thread: its call in trace
	for line := range strings.Lines(text) {
		thread, call, ok := strings.Cut(line, " ")
		if !ok {
			continue
		}
		call = strings.TrimSpace(call)
		if _, end, ok := strings.Cut(call, " resumed>"); ok && strings.HasPrefix(call, "<... ") {
			if at, ok := begun[thread]; ok {
				trace[at] += end
			}
			continue
		}
		call = strings.TrimSuffix(call, "<unfinished ...>")
		begun[thread] = len(trace)
		trace = append(trace, call)
	}
	return trace
}
