//go:build !linux

package measure

import (
	"fmt"
	"os/exec"
)

// processorsOf says which processors each side has: only Linux lets it be
// chosen.
func processorsOf(p Placement) (map[side][]int, error) {
	if p == "" || p == Free {
		return nil, nil
	}
	return nil, fmt.Errorf("placement %q is possible on Linux only", p)
}

func startOn(cmd *exec.Cmd, _ []int) error { return cmd.Start() }
