package protocol

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxID is the longest id in bytes.
const MaxID = 512

// Guard is the id under which a store's owner says farewell to its clients, as
// Perl's IPC::Manager has it. CheckID refuses it, Connect and Deliver do not.
const Guard = "spawn"

// ErrBadID is matched by what CheckID returns.
const ErrBadID = sentinel("not a client's id")

// CheckID says why id cannot name a client, or nil. The rule is the same for
// every protocol, and is what Perl's IPC::Manager accepts less what would
// collide with the files it keeps beside a mailbox.
func CheckID(id string) error {
	why := ""
	switch {
	case id == "":
		why = "it is empty"
	case len(id) > MaxID:
		return fmt.Errorf("%w: %q… has %d bytes, at most %d are allowed", ErrBadID, id[:24], len(id), MaxID)
	case !utf8.ValidString(id):
		why = "it is not valid UTF-8"
	case id == "0":
		why = `"0" is false to Perl`
	case id == Guard:
		why = "it is the name of the store's guard"
	case id[0] == '_':
		why = "it starts with an underscore"
	case id[0] == '.':
		why = "it starts with a dot"
	default:
		for _, end := range [...]string{".pid", ".name", ".resume", ".stats", ".suspend", ".pend"} {
			if strings.HasSuffix(id, end) {
				why = "it ends in " + end
			}
		}
	}
	if why == "" {
		return nil
	}
	return fmt.Errorf("%w: %q: %s", ErrBadID, id, why)
}
