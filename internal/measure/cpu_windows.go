package measure

import "golang.org/x/sys/windows"

// cpuSeconds is how long processors have worked for this process.
func cpuSeconds() float64 {
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(windows.CurrentProcess(), &created, &exited, &kernel, &user); err != nil {
		return 0 // it fails for wrong arguments only
	}
	ticks := func(t windows.Filetime) int64 { return int64(t.HighDateTime)<<32 + int64(t.LowDateTime) } // of 100 ns
	return float64(ticks(kernel)+ticks(user)) / 1e7
}
