package process

// generations bounds the way up from a process, for a system that gives the
// pid of a parent to a stranger may show a circle.
const generations = 100

// IsBelow says whether the process under pid is the one under ancestor, or was
// started by it or by one below it, as far as the system tells: where one in
// between has ended, it may not know.
func IsBelow(pid, ancestor int) bool {
	for range generations {
		if pid == ancestor {
			return true
		}
		var err error
		if pid, err = parent(pid); err != nil || pid <= 0 {
			return false
		}
	}
	return false
}
