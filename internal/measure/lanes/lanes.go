// Package lanes has the lanes of package measure over stores of ipcmgr.
package lanes

import "github.com/ipcmgr/ipcmgr/internal/measure"

// Find gives a lane by its name: one over a store, or the raw one that they are
// compared with.
func Find(name string) (measure.Lane, error) {
	if raw := measure.RawUnix(); name == raw.Name {
		return raw, nil
	}
	s, err := parse(name)
	if err != nil {
		return measure.Lane{}, err
	}
	return s.Lane()
}
