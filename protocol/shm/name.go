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
	life   uint32 // drawn for it: epochs begin anew where no record of an id is kept
	number uint64
	key    string // of the sender
}

func (n ringName) String() string {
	return fmt.Sprintf("%016x-%08x-%08x-%s", n.epoch, n.life, n.number, n.key)
}

func parseRingName(s string) (ringName, error) {
	var n ringName
	parts := strings.SplitN(s, "-", 4)
	if len(parts) == 4 {
		// What is no number is not what String makes of it.
		n.epoch, _ = strconv.ParseUint(parts[0], 16, 64)
		life, _ := strconv.ParseUint(parts[1], 16, 32)
		n.number, _ = strconv.ParseUint(parts[2], 16, 64)
		n.life, n.key = uint32(life), parts[3]
	}
	if n.key == "" || n.String() != s {
		return n, fmt.Errorf("%w: %q is no ring's name", errBroken, s)
	}
	return n, nil
}

// compare orders the rings of one sender.
func (n ringName) compare(o ringName) int {
	return cmp.Or(cmp.Compare(n.epoch, o.epoch), cmp.Compare(n.life, o.life), cmp.Compare(n.number, o.number))
}
