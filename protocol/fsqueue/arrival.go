package fsqueue

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// arrival is one message's file that Perl delivered.
//
// Perl readers sort what they find by the message's (stamp, stamp_ord), and
// Perl senders rely on it: within one millisecond their ids, and so the names,
// do not tell the order. These two numbers are the only thing that is read from
// a message here. Where they cannot be read, the time of the file stands in.
type arrival struct {
	name  string
	size  int
	stamp float64 // seconds since the epoch, in steps of 10 µs: well within 53 bits
	ord   float64
}

func (a arrival) compare(b arrival) int {
	return cmp.Or(cmp.Compare(a.stamp, b.stamp), cmp.Compare(a.ord, b.ord), cmp.Compare(a.name, b.name))
}

// arrived lists what came, in order. As in order.pick, one listing may miss an
// earlier file of a sender, and here no number tells: a listing is taken again
// until it brings nothing that sorts before what was known already. What comes
// later is left for the next time. What is no message is set aside; what Perl
// has not given its final name yet is left alone.
func arrived(s *shelf, dir disk.Dir) (all []arrival, err error) {
	seen := map[string]bool{}
	for {
		names, err := dir.Names()
		if err != nil {
			return nil, err
		}
		known := len(all)
		for _, name := range names {
			if seen[name] || strings.HasSuffix(name, pendEnd) {
				continue
			}
			seen[name] = true
			a, why := arrive(s, dir, name)
			switch {
			case errors.Is(why, fs.ErrNotExist):
			case why != nil:
				s.takeAside(dir, name, why)
			case known == 0 || a.compare(all[known-1]) < 0:
				all = append(all, a)
			}
		}
		if len(all) == known {
			return all, nil
		}
		slices.SortFunc(all, arrival.compare)
	}
}

// arrive looks at one file. The error says why it cannot be a message.
func arrive(s *shelf, dir disk.Dir, name string) (arrival, error) {
	info, err := dir.Stat(name)
	if err != nil {
		return arrival{}, err
	}
	if err := unusable(info); err != nil {
		return arrival{}, err
	}
	if !strings.HasSuffix(name, readyEnd) {
		return arrival{}, fmt.Errorf("its name does not end in %s", readyEnd)
	}
	if info.Size > int64(s.maxFrame) {
		return arrival{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", protocol.ErrTooLarge, info.Size, s.maxFrame)
	}
	a := arrival{name: name, size: int(info.Size), stamp: float64(info.ModTime.UnixNano()) / 1e9}
	if data, err := disk.ReadFile(dir, name, s.maxFrame); err == nil {
		a.read(data)
	}
	return a, nil
}

// read finds the message's own time.
func (a *arrival) read(data []byte) {
	var m struct {
		Stamp json.RawMessage `json:"stamp"`
		Ord   json.RawMessage `json:"stamp_ord"`
	}
	if json.Unmarshal(data, &m) != nil {
		return
	}
	if stamp, ok := number(m.Stamp); ok {
		a.stamp = stamp
		a.ord, _ = number(m.Ord)
	}
}

// number reads one of Perl's, which may be a string.
func number(raw json.RawMessage) (float64, bool) {
	text, err := strconv.Unquote(string(raw))
	if err != nil {
		text = string(raw)
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil && n == n
}
