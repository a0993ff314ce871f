//go:build linux && !ipcmgr_fallback

package shm

// step is called between any two steps that other processes could see. Tests end
// the process in it.
func (m *mailbox) step(name string) {
	if onStep != nil {
		onStep(name)
	}
}

var onStep func(name string)
