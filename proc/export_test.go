package proc

import "time"

// SetPatience sets how long a child may take to leave, and to end as an orphan.
func SetPatience(d time.Duration) { leaveWithin, orphanedFor, stopWithin = d, d, 2*d }
