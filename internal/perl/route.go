// Package perl keeps the files that Perl's IPC::Manager (0.000038) reads and
// writes beside a mailbox, so that its programs and ours can share a route:
//
//	D          the mailbox: a directory of messages, or a socket
//	D.pid      the decimal pid of the process that holds it
//	D.name     the id, where D is a hash of it
//	D.stats    its statistics, in the serializer's form
//	D.suspend  by when it means to be back, in decimal seconds since 1970
//	D.resume   messages that it put back
//
// D itself is the business of the protocol, and so is D.resume. All of ours
// that is not in this list stands below one dot directory, which Perl neither
// lists nor sweeps.
package perl

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

// Route is a directory that Perl programs share. Its methods may be called
// concurrently; those that write belong to the holder of the id.
type Route struct {
	Dir     string  // exactly as given: its length counts in Name
	Max     int     // bytes of the longest id that is its own name on disk
	Sockets bool    // ConnectionUnix; else MessageFiles
	FS      disk.FS // nil = disk.Real
	// Sync puts statistics on disk before the call that writes them returns.
	// They stand for those in the client's record, if they are newer: torn by a
	// power cut they would hide good ones. The rest means nothing after one.
	Sync bool
}

func (r *Route) fs() disk.FS {
	if r.FS != nil {
		return r.FS
	}
	return disk.Real
}

// open opens the route.
func (r *Route) open() (disk.Dir, error) { return r.fs().OpenDir(filepath.Clean(r.Dir)) }

// in opens the route and the place for temporary files below our directory.
func (r *Route) in(f func(dir, tmp disk.Dir) error) error {
	dir, err := r.open()
	if err != nil {
		return err
	}
	defer dir.Close()
	tmp, err := r.fs().OpenDir(filepath.Join(r.Dir, ".ipcmgr", "tmp"))
	if err != nil {
		return err
	}
	defer tmp.Close()
	return f(dir, tmp)
}

// ours is the second line of a D.pid that we wrote. Perl reads only the first.
const ours = "ipcmgr"

// Connected tells Perl that this process holds the mailbox of id. D must stand
// already: a Perl peer sends as soon as it sees D.pid.
func (r *Route) Connected(id string) error {
	d, err := r.Name(id)
	if err != nil {
		return err
	}
	return r.in(func(dir, tmp disk.Dir) error {
		if d != id {
			if err := disk.WriteFile(dir, tmp, d+".name", []byte(id), false); err != nil {
				return err
			}
		}
		if err := disk.WriteFile(dir, tmp, d+".pid", []byte(strconv.Itoa(os.Getpid())+"\n"+ours), false); err != nil {
			return err
		}
		return gone(dir.Remove(d + ".suspend"))
	})
}

// Suspended tells Perl that id left with the intent to return, by until unless
// that is zero. Nil stats leave what D.stats says.
func (r *Route) Suspended(id string, until time.Time, stats []byte) error {
	d, err := r.Name(id)
	if err != nil {
		return err
	}
	return r.in(func(dir, tmp disk.Dir) error {
		if err := r.writeStats(dir, tmp, d, stats); err != nil {
			return err
		}
		if until.IsZero() {
			err = gone(dir.Remove(d + ".suspend"))
		} else {
			err = disk.WriteFile(dir, tmp, d+".suspend", formatTime(until), false)
		}
		if err != nil {
			return err
		}
		return gone(dir.Remove(d + ".pid"))
	})
}

// Left tells Perl that id left for good, after D was removed. Its name and its
// statistics stay. Perl leaves D.pid behind as well; ours goes, for the process
// it names may live on.
func (r *Route) Left(id string, stats []byte) error {
	d, err := r.Name(id)
	if err != nil {
		return err
	}
	return r.in(func(dir, tmp disk.Dir) error {
		return errors.Join(
			r.writeStats(dir, tmp, d, stats),
			gone(dir.Remove(d+".suspend")),
			gone(dir.Remove(d+".pid")),
		)
	})
}

// Erase removes all that stands in the route for id: what lies beside D, the
// messages in D, and D if nothing else is in it.
func (r *Route) Erase(id string) error {
	d, err := r.Name(id)
	if err != nil {
		return err
	}
	dir, err := r.open()
	if err != nil {
		return gone(err)
	}
	defer dir.Close()
	for _, name := range [...]string{d, "_" + d} {
		err = errors.Join(err, r.eraseMailbox(dir, name))
	}
	for _, end := range endings {
		err = errors.Join(err, gone(dir.Remove(d+end)))
	}
	return err
}

// Clear removes what a client that had left, and was killed while it connected
// again, has left anew. Its name and its statistics stay.
func (r *Route) Clear(id string) error {
	d, err := r.Name(id)
	if err != nil {
		return err
	}
	dir, err := r.open()
	if err != nil {
		return gone(err)
	}
	defer dir.Close()
	return errors.Join(
		r.eraseMailbox(dir, d), r.eraseMailbox(dir, "_"+d),
		gone(dir.Remove(d+".suspend")), gone(dir.Remove(d+".pid")),
	)
}

func (r *Route) eraseMailbox(dir disk.Dir, name string) error {
	info, err := dir.Stat(name)
	switch {
	case err != nil:
		return gone(err)
	case r.Sockets && (info.Mode.Type() == fs.ModeSocket || info.Mode.IsRegular() && info.Size == 0):
		return gone(dir.Remove(name))
	case r.Sockets || !info.Mode.IsDir():
		return nil // a stranger's
	}
	box, err := dir.Sub(name)
	if err != nil {
		return gone(err)
	}
	defer box.Close()
	for tries := 0; ; tries++ {
		if empty, err := eraseMessages(box); !empty || err != nil {
			return err
		}
		err := dir.Rmdir(name)
		if !errors.Is(err, fs.ErrExist) || tries == 100 { // a sender may have been faster
			return gone(err)
		}
	}
}

// eraseMessages removes the messages in a mailbox, and says whether it was all
// there was.
func eraseMessages(box disk.Dir) (all bool, err error) {
	names, err := box.Names()
	if err != nil {
		return false, err
	}
	all = true
	for _, m := range names {
		if ext := filepath.Ext(m); ext == ".ready" || ext == ".pend" {
			err = errors.Join(err, gone(box.Remove(m)))
		} else {
			all = false // a stranger's
		}
	}
	return all, err
}

// gone is err unless it says that there was nothing.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
