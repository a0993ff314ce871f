//go:build unix

package unixsocket

import (
	"fmt"
	"time"
)

// seldom is how often the same trouble is told of at most.
const seldom = time.Minute

// rare tells of trouble that may come again and again, such as strangers make:
// of the first, and now and then how much there was since. Or the log would be
// theirs to fill.
type rare struct {
	told   time.Time
	untold int
}

// tell gives what is to be told of err at this time: nil if nothing is.
func (r *rare) tell(err error, now time.Time) error {
	if !r.told.IsZero() && now.Sub(r.told) < seldom {
		r.untold++
		return nil
	}
	if r.untold > 0 {
		err = fmt.Errorf("%w (others that were not told: %d)", err, r.untold)
	}
	r.told, r.untold = now, 0
	return err
}
