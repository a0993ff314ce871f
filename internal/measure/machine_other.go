//go:build !linux

package measure

import "runtime"

// hardware names the processor and the system.
func hardware() (cpu, system string) { return runtime.GOARCH, runtime.GOOS }
