package dirwatch

import (
	"hash/maphash"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// lookEvery is the rhythm of everything here that the system does not tell.
const lookEvery = 100 * time.Millisecond

// coarse is more than the resolution of any file system's times: a directory
// that was changed less than that ago may change again under the same time.
const coarse = 3 * time.Second

// poll looks at one directory, or one name in it, in turn.
type poll struct {
	look  func(last sight) sight
	quit  chan struct{}
	ended chan struct{}
	once  sync.Once
}

// startPoll calls changed whenever the directory, or the name in it unless that
// is "", is found different. The first look has been taken when it returns.
func startPoll(path, name string, changed func()) *poll {
	p := &poll{quit: make(chan struct{}), ended: make(chan struct{})}
	if name == "" {
		p.look = func(last sight) sight { return look(path, last) }
	} else {
		p.look = func(sight) sight { return lookAtOne(path, name) }
	}
	go p.run(p.look(sight{}), changed)
	return p
}

func (p *poll) run(seen sight, changed func()) {
	defer close(p.ended)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-tick.C:
		}
		now := p.look(seen)
		// What changed without a trace while the time stood still is told of
		// once no more of that can come.
		if !now.same(seen) || now.certain() && !seen.certain() {
			changed()
		}
		seen = now
	}
}

func (p *poll) stop() {
	p.once.Do(func() { close(p.quit) })
	<-p.ended
}

// sight is what one look at a directory found.
type sight struct {
	info  os.FileInfo // nil: there is none
	count int
	names uint64    // a sum over the names, in whatever order they come
	taken time.Time // zero for that of a file, which says all
}

// look takes a sight. Where the last one shows that the names are as they were,
// they are not read again.
func look(path string, last sight) sight {
	now := sight{taken: time.Now()}
	info, err := os.Stat(path)
	if err != nil {
		return now
	}
	now.info = info
	if last.certain() && sameTime(info, last.info) {
		now.count, now.names = last.count, last.names
		return now
	}
	d, err := os.Open(path)
	if err != nil {
		return now
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1) // what could be read is what is compared
	now.count = len(names)
	for _, name := range names {
		now.names += maphash.String(seed, name)
	}
	return now
}

// lookAtOne takes a sight of one file, whatever it is. Where there is none it is
// the directory's time that tells, and tells of others too: the file may have
// come since the last look, been seen, and gone.
func lookAtOne(path, name string) sight {
	now := sight{taken: time.Now()}
	now.info, _ = os.Stat(path)
	if info, err := os.Lstat(filepath.Join(path, name)); err == nil {
		return sight{info: info}
	}
	return now
}

var seed = maphash.MakeSeed()

// certain says whether each later change will show in the directory's time. The
// names alone do not tell of one that was given to another file.
func (s sight) certain() bool {
	return s.info != nil && s.taken.Sub(s.info.ModTime()) > coarse
}

func (s sight) same(other sight) bool {
	if s.info == nil || other.info == nil {
		return s.info == nil && other.info == nil
	}
	return sameTime(s.info, other.info) && s.count == other.count && s.names == other.names
}

func sameTime(a, b os.FileInfo) bool {
	return a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}
