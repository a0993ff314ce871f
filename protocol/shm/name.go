//go:build linux && !ipcmgr_fallback

package shm

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// ringName is the file name of a ring: whose it is, and its place among those
// that this sender made for the mailbox.
type ringName struct {
	epoch  uint64 // of the sender's connection
	number uint64
	key    string // of the sender
}

func (n ringName) String() string { return fmt.Sprintf("%016x-%08x-%s", n.epoch, n.number, n.key) }

func parseRingName(s string) (ringName, error) {
	var n ringName
	epoch, rest, _ := strings.Cut(s, "-")
	number, key, _ := strings.Cut(rest, "-")
	var err error
	if n.epoch, err = strconv.ParseUint(epoch, 16, 64); err == nil {
		n.number, err = strconv.ParseUint(number, 16, 64)
	}
	n.key = key
	if err != nil || n.String() != s || key == "" {
		return n, fmt.Errorf("%w: %q is no ring's name", errBroken, s)
	}
	return n, nil
}

// compare orders the rings of one sender.
func (n ringName) compare(o ringName) int {
	if c := cmp.Compare(n.epoch, o.epoch); c != 0 {
		return c
	}
	return cmp.Compare(n.number, o.number)
}
