package roster

import (
	"context"
	"errors"
	"io/fs"
	"time"
)

// Stats gives what each client, present or gone, last left; foreign ones
// included.
func (r *Roster) Stats(ctx context.Context) (map[string][]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var stats map[string][]byte
	// Under the lock: a client that leaves may add what it counted to another's
	// record, and remove its own.
	err := r.Locked(ctx, func() (err error) {
		stats, err = r.stats()
		return err
	})
	if err != nil {
		return nil, r.fail(ctx, "read statistics", "", err)
	}
	return stats, nil
}

// stats reads what is in the records, and what foreign programs left.
func (r *Roster) stats() (map[string][]byte, error) {
	keys, err := r.records.list()
	if err != nil {
		return nil, err
	}
	stats := make(map[string][]byte)
	written := make(map[string]time.Time)
	for _, key := range keys {
		rec, when, err := r.records.read(key)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if rec.Stats != nil {
			stats[rec.ID], written[rec.ID] = append([]byte(nil), rec.Stats...), when
		}
	}
	if r.perl != nil {
		theirs, err := r.perl.Stats()
		if err != nil {
			return nil, err
		}
		for id, s := range theirs {
			if s.Written.After(written[id]) {
				stats[id] = s.Data
			}
		}
	}
	return stats, nil
}

// statsOf gives what the last client of an id left. A Perl program that had
// the id after ours went on from what ours left in the route.
func (r *Roster) statsOf(f *found) ([]byte, error) {
	var stats []byte
	if f.rec != nil {
		stats = f.rec.Stats
	}
	if r.perl == nil {
		return stats, nil
	}
	s, ok, err := r.perl.Stat(f.ID)
	if ok && s.Written.After(f.written) {
		stats = s.Data
	}
	return stats, err
}
