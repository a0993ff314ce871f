package perl

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// hashed is how long a name is that stands for an id: "h-" and 40 digits.
const hashed = 42

// endings are those of the files that Perl keeps beside a mailbox.
var endings = [...]string{".pid", ".name", ".resume", ".stats", ".suspend", ".pend"}

// Name is the name of id's mailbox in the route: the id itself where it may be
// one, else a hash of it. It is an error if the route leaves no room for that.
func (r *Route) Name(id string) (string, error) {
	plain := id != "" && len(id) <= r.Max && !strings.HasPrefix(id, "h-") &&
		!strings.ContainsFunc(id, func(c rune) bool { return c < 0x20 || c == '/' || c == '\\' })
	if plain {
		return id, nil
	}
	if r.Max < hashed {
		return "", fmt.Errorf("perl: %q leaves %d bytes for the name of a mailbox and %q needs %d: use a shorter route", r.Dir, r.Max, id, hashed)
	}
	sum := sha256.Sum256([]byte(id))
	return "h-" + hex.EncodeToString(sum[:])[:hashed-2], nil
}

// mailbox says whether an entry of the route can be a mailbox's, by its name.
func mailbox(name string) bool {
	if name == "" || name[0] == '.' || name[0] == '_' {
		return false
	}
	_, ok := sidecar(name)
	return !ok
}

// sidecar gives the mailbox that a file stands beside, if it is such a file.
func sidecar(name string) (of string, ok bool) {
	for _, end := range endings {
		if of, ok = strings.CutSuffix(name, end); ok {
			return of, of != ""
		}
	}
	return "", false
}
