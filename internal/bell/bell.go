// Package bell lets one process wake another that waits. A bell is a file with
// a path; one process waits at it, and any number hold ropes and ring.
//
// A ring carries nothing but itself. Rings before a Wait count for it, and many
// may be heard as one. Only one process may have the bell open: two would take
// each other's rings. Where the system has FIFOs, a bell is one, and a ring
// made while nobody has the bell or a rope to it open is lost; who opens a bell
// looks at what there is to do before it waits.
package bell

import (
	"fmt"
	"io/fs"
)

// Make makes a bell at path, a file of mode 0600 under any umask. The error
// matches fs.ErrExist if there is something already.
func Make(path string) error { return makeBell(path) }

func wrap(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("bell %s: %w", path, err)
}

func notBell(path string) error {
	return fmt.Errorf("bell %s: not made as one: %w", path, fs.ErrInvalid)
}
