// Package powerloss is a disk.FS for tests. It records what a program asks of a
// file system and rebuilds what a power cut at any point may have left of it.
//
// What may be left is what POSIX promises and no more: the content of a file as
// of its last Sync, and of what was written since any part; the names in a
// directory as of its last Sync, and of the changes since any selection in
// which none stands without those that it rests on. A rename is done or not. To
// sync a file does not keep its name, nor a directory's Sync the content of the
// files in it.
//
// Only what goes through the recorder is in the record, and nothing else is in
// what is rebuilt: no lock, no FIFO, no mapped memory.
package powerloss

import (
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

// node is a file or a directory, whatever its name.
type node struct {
	dir     bool
	entries map[string]*node // of a directory, as the program sees it
}

// entry is one name in one directory.
type entry struct {
	dir  *node
	name string
}

// op is one call on record.
type op struct {
	when time.Time

	// A change of names: sets says what each of these stands for from now on.
	sets  map[entry]*node
	empty *node // the directory that is removed by it

	wrote *node // data was appended to it
	data  []byte

	synced *node // a file, or a directory
}

// Recorder is a disk.FS over another one. What is below Root is on
// record.
type Recorder struct {
	under disk.FS
	path  string
	root  *node

	mu  sync.Mutex
	ops []op
}

// New makes one for the directory root, which is empty and itself on disk.
func New(under disk.FS, root string) *Recorder {
	return &Recorder{under: under, path: filepath.Clean(root), root: newDir()}
}

// Root is the directory on record.
func (r *Recorder) Root() string { return r.path }

func newDir() *node { return &node{dir: true, entries: map[string]*node{}} }

// Now is the place in the record after all that was done so far.
func (r *Recorder) Now() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops)
}

// OpenDir implements disk.FS.
func (r *Recorder) OpenDir(path string) (disk.Dir, error) {
	d, err := r.under.OpenDir(path)
	if err != nil {
		return nil, err
	}
	return &dir{Dir: d, r: r, node: r.find(path)}, nil
}

// find gives the directory at path; one of its own for what is not on record.
func (r *Recorder) find(path string) *node {
	r.mu.Lock()
	defer r.mu.Unlock()
	rel, err := filepath.Rel(r.path, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return newDir()
	}
	n := r.root
	for _, name := range strings.Split(rel, string(filepath.Separator)) {
		if name != "." && n != nil {
			n = n.entries[name]
		}
	}
	if n == nil {
		return newDir()
	}
	return n
}

// change records a change of names and carries it out.
func (r *Recorder) change(o op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e, n := range o.sets {
		if n == nil {
			delete(e.dir.entries, e.name)
		} else {
			e.dir.entries[e.name] = n
		}
	}
	r.add(o)
}

func (r *Recorder) add(o op) {
	o.when = time.Now()
	r.ops = append(r.ops, o)
}

func (r *Recorder) lookup(d *node, name string) *node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return d.entries[name]
}
