package measure

import (
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// processorsOf says which processors each side has. nil: any.
func processorsOf(p Placement) (map[side][]int, error) {
	if p == "" || p == Free {
		return nil, nil
	}
	var mine unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		return nil, err
	}
	var cpus []int
	for cpu := 0; len(cpus) < mine.Count(); cpu++ {
		if mine.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	switch {
	case p == One:
		one := cpus[:1]
		return map[side][]int{server: one, host: one, joiner: one}, nil
	case p == Two && len(cpus) > 1:
		return map[side][]int{server: cpus[:2], host: cpus[:1], joiner: cpus[1:2]}, nil
	case p == Two:
		return nil, fmt.Errorf("placement %q needs two processors: there is one", p)
	}
	return nil, fmt.Errorf("there is no placement %q: it is %q, %q or %q", p, Free, One, Two)
}

// startOn starts a program on some processors. It inherits them from the thread
// that starts it.
func startOn(cmd *exec.Cmd, cpus []int) error {
	if cpus == nil {
		return cmd.Start()
	}
	var mine, its unix.CPUSet
	for _, cpu := range cpus {
		its.Set(cpu)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, &its); err != nil {
		return err
	}
	started := cmd.Start()
	if err := unix.SchedSetaffinity(0, &mine); err != nil {
		return err
	}
	return started
}
