package trial

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Sleeps counts how often the threads of a process have gone to sleep, and says
// whether all sleep: none runs, is about to, or was stopped. ok is false where the system
// does not tell, or there is no such process.
func Sleeps(pid int) (n int, all, ok bool) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	all = true
	for _, file := range files {
		status, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if state, is := strings.CutPrefix(line, "State:\t"); is && !strings.HasPrefix(state, "S") {
				all = false
			}
			var count int
			if _, err := fmt.Sscanf(line, "voluntary_ctxt_switches: %d", &count); err == nil {
				n += count
				ok = true
			}
		}
	}
	return n, all, ok
}
