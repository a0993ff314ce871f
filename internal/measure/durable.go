package measure

// What becomes of an accepted message when processes or the machine die.
const (
	InFlight = "none: in flight"
	Unsynced = "disk, no sync"
	Synced   = "disk, synced"

	unsyncedInMemory = "memory: outlives processes"
	syncedInMemory   = "memory: sync gains nothing"
)

// durableIn is what is true of a lane whose files are in dir: what is said of
// disks holds only on one.
func durableIn(dir, durable string) string {
	if inMemory(dir) {
		switch durable {
		case Unsynced:
			return unsyncedInMemory
		case Synced:
			return syncedInMemory
		}
	}
	return durable
}
