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
	for line := range strings.Lines(string(data)) {
		// Begins with the thread's id.
		if _, call, ok := strings.Cut(line, " "); ok && !strings.HasPrefix(strings.TrimSpace(call), "<... ") {
			trace = append(trace, strings.TrimSpace(call))
		}
	}
	return trace, errors.Join(err, readErr)
}
