package measure

import (
	"bufio"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// hardware names the processor and the system.
func hardware() (cpu, system string) {
	cpu, system = runtime.GOARCH, "Linux"
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		system += " " + unix.ByteSliceToString(u.Release[:])
	}
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return cpu, system
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value), system
		}
	}
	return cpu, system
}
