//go:build !unix

package proc

import (
	"os"
	"os/exec"
)

// There are no process groups on this system: signals go to the child alone.
func ownGroup(*exec.Cmd) {}

func signalGroup(p *os.Process, sig os.Signal) error { return p.Signal(sig) }

func isInGroup(pid, leader int) bool { return pid == leader }

func killOwnGroup() {}

func surviveBrokenPipes() {}
