//go:build unix

package robustness

import (
	"math/rand/v2"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// status is a page that the director of a crash test shares with its players:
// what each goroutine of each player is at. It keeps what a killed process
// wrote last.
type status struct{ page []byte }

// What a player is at.
const (
	resting uint32 = iota // nothing of the library, or waiting for a message
	connecting
	sending
	batching
	fetching
	acknowledging
	publishing
	suspending
	disconnecting
	adopting
	looking
	acts
)

var actNames = [acts]string{
	"nothing", "connect", "send", "batch", "fetch", "ack", "publish", "suspend", "disconnect", "adopt", "look",
}

const (
	statusSize = 4096
	hands      = 2 // goroutines of a player that do things
)

func openStatus(path string) (*status, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(statusSize); err != nil {
		return nil, err
	}
	page, err := unix.Mmap(int(f.Fd()), 0, statusSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return &status{page}, err
}

func (s *status) close() error { return unix.Munmap(s.page) }

func (s *status) word(player, n int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&s.page[4*(player*hands+n)]))
}

// clear forgets what the hands of a player were at, and tells what it was.
func (s *status) clear(player int) (at [hands]uint32) {
	for n := range at {
		at[n] = s.word(player, n).Swap(resting)
	}
	return at
}

// hand is one goroutine of a player: where it says what it is at, and its own
// source of choices.
type hand struct {
	word *atomic.Uint32
	rand *rand.Rand
}

// at does one thing that a kill may interrupt.
func (h hand) at(what uint32, do func() error) error {
	h.word.Store(what)
	defer h.word.Store(resting)
	return do()
}
