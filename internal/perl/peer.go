package perl

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Peer is a client as the route's files show it. Whether its process lives is
// for the caller to find out.
type Peer struct {
	ID    string
	Name  string // D
	PID   int    // 0 when suspended
	Ours  bool   // D.pid was written by this package: our records know more
	State protocol.State
	Since time.Time // when D.pid or, suspended, D.suspend or D.stats was written
	Until time.Time // of a suspension; zero = no deadline
}

// Peers lists the clients of the route, whoever made them: active with the pid
// that D.pid has, or suspended. The mailboxes that skip names are passed over.
// What is not in Perl's form, or still being made, is not listed.
func (r *Route) Peers(skip func(name string) bool) ([]Peer, error) {
	dir, err := r.open()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Names()
	if err != nil {
		return nil, err
	}
	var peers []Peer
	for _, name := range names {
		if !mailbox(name) || skip(name) {
			continue
		}
		p, ok, err := r.read(dir, name)
		if err != nil {
			return nil, err
		}
		if ok {
			peers = append(peers, p)
		}
	}
	return peers, nil
}

// Peer is the one client id as the route's files show it; false if they do not.
func (r *Route) Peer(id string) (Peer, bool, error) {
	name, err := r.Name(id)
	if err != nil || !mailbox(name) {
		return Peer{}, false, err
	}
	dir, err := r.open()
	if err != nil {
		return Peer{}, false, err
	}
	defer dir.Close()
	p, ok, err := r.read(dir, name)
	return p, ok && p.ID == id, err
}

func (r *Route) read(dir disk.Dir, name string) (Peer, bool, error) {
	box, err := dir.Stat(name)
	if err != nil || !r.holds(box) {
		return Peer{}, false, gone(err)
	}
	id, err := r.id(dir, name)
	if err != nil || id == "" {
		return Peer{}, false, err
	}
	p := Peer{ID: id, Name: name}
	first, written, err := content(dir, name+".pid")
	switch {
	case err == nil:
		line, more, _ := bytes.Cut(first, []byte("\n"))
		p.Ours = string(more) == ours
		p.PID, err = strconv.Atoi(string(bytes.TrimSpace(line)))
		if err != nil || p.PID <= 0 || p.PID > math.MaxInt32 {
			return Peer{}, false, nil
		}
		p.State, p.Since = protocol.Active, written
		return p, true, nil
	case !errors.Is(err, fs.ErrNotExist):
		return Peer{}, false, rubbish(err)
	case r.Sockets:
		return Peer{}, false, nil // not yet connected: these are never suspended
	}
	p.State = protocol.Suspended
	text, written, err := content(dir, name+".suspend")
	if err == nil {
		p.Since, p.Until = written, parseTime(string(text))
		return p, true, nil
	}
	if err := rubbish(gone(err)); err != nil {
		return Peer{}, false, err
	}
	// Every suspension leaves statistics; without them D.pid is still to come.
	info, err := dir.Stat(name + ".stats")
	p.Since = info.ModTime
	return p, err == nil, gone(err)
}

// holds says whether info can be that of a mailbox of this route.
func (r *Route) holds(info disk.Info) bool {
	if r.Sockets {
		return info.Mode.Type() == fs.ModeSocket || info.Mode.IsRegular() && info.Size == 0
	}
	return info.Mode.IsDir()
}

// id is whose mailbox name is; "" if nobody's, or of one who may have none.
func (r *Route) id(dir disk.Dir, name string) (string, error) {
	id := name
	if strings.HasPrefix(name, "h-") {
		data, _, err := content(dir, name+".name")
		if err != nil {
			return "", rubbish(gone(err))
		}
		id = string(data)
	}
	if d, err := r.Name(id); err != nil || d != name || protocol.CheckID(id) != nil {
		return "", nil
	}
	return id, nil
}

// Holds says whether a store of Perl's lives in the route: a mailbox with a
// file beside it, or the statistics that one left.
func (r *Route) Holds() (bool, error) {
	dir, err := r.open()
	if err != nil {
		return false, gone(err)
	}
	defer dir.Close()
	names, err := dir.Names()
	if err != nil {
		return false, err
	}
	for _, name := range names {
		of, ok := sidecar(name)
		if !ok {
			continue
		}
		if name == of+".stats" {
			s, _, err := readStats(dir, of)
			if err == nil && bytes.Contains(s.Data, []byte("read")) && bytes.Contains(s.Data, []byte("sent")) {
				return true, nil
			}
		}
		// A file like app.pid alone says nothing.
		if info, err := dir.Stat(of); err == nil && r.holds(info) {
			return true, nil
		}
	}
	return false, nil
}

// rubbish passes over what a stranger put in the place of a file of Perl's.
func rubbish(err error) error {
	if errors.Is(err, disk.ErrNotRegular) || errors.Is(err, disk.ErrTooLarge) {
		return nil
	}
	return err
}

// content reads a small file and says when it was written.
func content(dir disk.Dir, name string) ([]byte, time.Time, error) {
	info, err := dir.Stat(name)
	if err != nil {
		return nil, time.Time{}, err
	}
	data, err := disk.ReadFile(dir, name, maxSmall)
	return data, info.ModTime, err
}

const maxSmall = 4 << 10

func parseTime(s string) time.Time {
	sec, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(sec > 0 && sec < 1<<40) {
		return time.Time{}
	}
	whole, part := math.Modf(sec)
	return time.Unix(int64(whole), int64(part*1e9))
}

func formatTime(t time.Time) []byte {
	return strconv.AppendFloat(nil, float64(t.UnixMicro())/1e6, 'f', 5, 64)
}
