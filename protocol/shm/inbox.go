//go:build linux && !ipcmgr_fallback

package shm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/internal/process"
)

// inbox is what a client reads from.
type inbox struct {
	chains  map[string]*chain // by the sender's key
	slots   map[slot][]*chain
	byIndex map[uint64]*inlet
	last    uint64   // index given
	queue   []*chain // those that may have something, in turn
	asked   uint     // how often the first of them was
	made    uint64   // wordMade as the rings were last listed
	shut    string   // why not all of them could be opened then, or ""
	strange [][]byte // beginnings of what was set aside, to be handed out

	msgs, bytes int // handed out and not acknowledged
}

func (in *inbox) enqueue(c *chain) {
	if !c.queued {
		c.queued = true
		in.queue = append(in.queue, c)
	}
}

// dequeue takes the first of the queue out of it.
func (in *inbox) dequeue() *chain {
	c := in.queue[0]
	in.queue = slices.Delete(in.queue, 0, 1) // in place, so that nothing is allocated
	c.queued = false
	return c
}

// rotate puts the first of the queue last.
func (in *inbox) rotate() {
	if len(in.queue) > 1 {
		in.enqueue(in.dequeue())
	}
}

// add takes a ring in, and has its sender looked at.
func (in *inbox) add(i *inlet) {
	c := in.chains[i.name.key]
	if c == nil {
		c = &chain{key: i.name.key, slot: slotOf(i.name.key)}
		in.chains[i.name.key] = c
		in.slots[c.slot] = append(in.slots[c.slot], c)
	}
	for taken := true; taken || in.last == 0; _, taken = in.byIndex[in.last] {
		in.last = (in.last + 1) % (1 << (64 - tagBits))
	}
	i.index = in.last
	in.byIndex[i.index] = i
	c.add(i)
	in.enqueue(c)
}

// remove forgets a ring.
func (in *inbox) remove(i *inlet) {
	c := in.chains[i.name.key]
	c.remove(i)
	delete(in.byIndex, i.index)
	in.prune(c)
}

// prune forgets a sender without a ring.
func (in *inbox) prune(c *chain) {
	if len(c.inlets) > 0 || c.queued {
		return
	}
	delete(in.chains, c.key)
	rest := slices.DeleteFunc(in.slots[c.slot], func(o *chain) bool { return o == c })
	if in.slots[c.slot] = rest; len(rest) == 0 {
		delete(in.slots, c.slot)
	}
}

// rings are all of them.
func (in *inbox) rings() []*inlet { return slices.Collect(maps.Values(in.byIndex)) }

func (in *inbox) knows(n ringName) bool {
	c := in.chains[n.key]
	return c != nil && slices.ContainsFunc(c.inlets, func(i *inlet) bool { return i.name == n })
}

// list takes in the rings that are not known yet. What is no ring is set aside;
// what cannot be opened now, for want of descriptors say, is told after the rest
// was taken in.
func (m *mailbox) list(crashed bool) error {
	paths, failed := listRings(m.box)
	waits := map[string]bool{} // senders of whom an older ring is not open
	for _, path := range paths {
		name, err := parseRingName(filepath.Base(path))
		if err == nil && (m.inbox.knows(name) || waits[name.key]) {
			continue
		}
		if err == nil {
			err = m.admit(path, name, crashed)
		}
		switch {
		case errors.Is(err, errBroken):
			m.takeAside(path, err)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			failed = errors.Join(failed, err)
			waits[name.key] = true
		}
	}
	return failed
}

func (m *mailbox) admit(path string, name ringName, crashed bool) error {
	i, err := openInlet(path, name, crashed)
	if err != nil {
		return err
	}
	// From here on the kernel tells of the sender's end. What it had published
	// if it has ended is seen by the look that follows.
	ended, err := m.store.ends.watch(i.writer, m)
	i.watched = !ended && err == nil
	if ended {
		// Or its pid means nothing to us, in a container.
		if ended, err = m.store.Ended(name.key, name.epoch); ended {
			i.finish()
		}
	}
	if err != nil {
		m.notice(fmt.Errorf("that process %d ends will not be seen, and with it perhaps its last message: %w", i.writer.PID, err))
	}
	m.inbox.add(i)
	return nil
}

// senderEnded has the rings of a process looked at for the last time.
func (m *mailbox) senderEnded(id process.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left.Load() {
		return
	}
	for _, c := range m.inbox.chains {
		for _, i := range c.inlets {
			if i.writer == id {
				i.finish()
				m.inbox.enqueue(c)
			}
		}
	}
	m.keeper.Ring()
}

// retire removes the rings of a sender that were read to their ends.
func (m *mailbox) retire(c *chain) {
	for _, i := range slices.Clone(c.inlets) {
		if i.spent() {
			m.forget(i)
			m.removeRing(i)
			i.drop()
		}
	}
	m.inbox.prune(c)
}

func (m *mailbox) removeRing(i *inlet) {
	if err := os.Remove(m.pathOf(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.notice(err)
	}
}

// pathOf is where a ring is: a goodbye moves them.
func (m *mailbox) pathOf(i *inlet) string {
	path := filepath.Join(m.box, ringsDir, i.name.String())
	if _, err := os.Lstat(path); err != nil {
		return filepath.Join(m.box, outDir, i.name.String())
	}
	return path
}

func (m *mailbox) forget(i *inlet) {
	m.inbox.remove(i)
	if i.watched {
		m.store.ends.unwatch(i.writer, m)
	}
}

// setAside takes a ring that is damaged out of use. Its sender finds that it is
// over, and makes another one.
func (m *mailbox) setAside(i *inlet, why error) {
	i.finish()
	m.takeAside(m.pathOf(i), why)
	m.forget(i)
	m.inbox.msgs -= i.out
	m.inbox.bytes -= i.outBytes
	m.keeper.Freed(i.out, i.outBytes)
	i.abandon()
}

// takeAside puts what a person should see into the store's directory of corrupt
// things. Its beginning is handed out like a message, so that it is counted.
func (m *mailbox) takeAside(path string, why error) {
	m.notice(fmt.Errorf("%s is set aside: %w", path, why))
	words := beginning(path)
	dir, err := m.store.FS().OpenDir(filepath.Dir(path))
	if err == nil {
		err = m.aside.Take(dir, filepath.Base(path), why)
		dir.Close()
	}
	if err == nil || errors.Is(err, corrupt.ErrFull) { // else it will be found again
		m.inbox.strange = append(m.inbox.strange, words)
	}
	if err != nil {
		m.notice(err)
	}
}

// beginning reads from a file as much as the words of a ring are, if it is one.
func beginning(path string) []byte {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	words := make([]byte, 8*ringWords)
	n, _ := io.ReadFull(f, words)
	return words[:n]
}
