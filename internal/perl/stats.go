package perl

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

// maxStats bounds D.stats in bytes.
const maxStats = 16 << 20

// Stat is what a client left in D.stats.
type Stat struct {
	Data    []byte // in the serializer's form
	Written time.Time
}

// Stats gives what each client of the route, present or gone, left in D.stats.
func (r *Route) Stats() (map[string]Stat, error) {
	dir, err := r.open()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Names()
	if err != nil {
		return nil, err
	}
	stats := make(map[string]Stat)
	for _, name := range names {
		d, ok := strings.CutSuffix(name, ".stats")
		if !ok || !mailbox(d) {
			continue
		}
		id, err := r.id(dir, d)
		if err != nil {
			return nil, err
		}
		if id == "" {
			continue
		}
		s, ok, err := readStats(dir, d)
		if err != nil {
			return nil, err
		}
		if ok {
			stats[id] = s
		}
	}
	return stats, nil
}

// Stat is what the one client id left; false if nothing.
func (r *Route) Stat(id string) (Stat, bool, error) {
	d, err := r.Name(id)
	if err != nil {
		return Stat{}, false, err
	}
	dir, err := r.open()
	if err != nil {
		return Stat{}, false, err
	}
	defer dir.Close()
	return readStats(dir, d)
}

func readStats(dir disk.Dir, d string) (Stat, bool, error) {
	info, err := dir.Stat(d + ".stats")
	if err != nil {
		return Stat{}, false, gone(err)
	}
	data, err := disk.ReadFile(dir, d+".stats", maxStats)
	if errors.Is(err, fs.ErrNotExist) || err != nil && rubbish(err) == nil {
		return Stat{}, false, nil
	}
	return Stat{data, info.ModTime}, err == nil, err
}

func (r *Route) writeStats(dir, tmp disk.Dir, d string, stats []byte) error {
	if stats == nil {
		return nil
	}
	return disk.WriteFile(dir, tmp, d+".stats", stats, r.Sync)
}
