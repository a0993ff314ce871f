package measure

import (
	"fmt"
	"os"
	"runtime"
)

// Machine is what a run was made on. GOGC and GOMAXPROCS are those of all
// processes.
type Machine struct {
	CPU        string `json:"cpu"`
	CPUs       int    `json:"cpus"`
	System     string `json:"system"`
	Go         string `json:"go"`
	GOMAXPROCS int    `json:"gomaxprocs"`
	GOGC       string `json:"gogc"`
}

// ThisMachine describes the one that this is.
func ThisMachine() Machine {
	cpu, system := hardware()
	gogc := os.Getenv("GOGC")
	if gogc == "" {
		gogc = "100"
	}
	return Machine{CPU: cpu, CPUs: runtime.NumCPU(), System: system, Go: runtime.Version(), GOMAXPROCS: runtime.GOMAXPROCS(0), GOGC: gogc}
}

func (m Machine) String() string {
	return fmt.Sprintf("%d × %s, %s, %s, GOMAXPROCS=%d, GOGC=%s", m.CPUs, m.CPU, m.System, m.Go, m.GOMAXPROCS, m.GOGC)
}
