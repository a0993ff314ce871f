package fsqueue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

const draftDir = "draft"

// Connect implements protocol.Store.
func (s *store) Connect(ctx context.Context, o protocol.ConnectOptions) (protocol.Mailbox, error) {
	m := &mailbox{store: s, settings: s.Settings(), id: o.ID, notice: o.Notice}
	if m.notice == nil {
		m.notice = func(error) {}
	}
	e, err := s.Enter(ctx, o, func(e *roster.Entry) error { return m.enter(ctx, e) })
	if err != nil {
		if m.entry != nil {
			m.release()
		}
		return nil, err
	}
	if !e.Hold(m.abandon) {
		m.abandon()
		return nil, m.fail("connect", e.ID, protocol.ErrClosed)
	}
	return m, nil
}

// enter takes the mailbox up, or leaves nothing of a new one.
func (m *mailbox) enter(ctx context.Context, e *roster.Entry) error {
	m.entry = e
	if fresh(e) {
		// What lies there is of a Connect or Leave that was killed half-way.
		if err := m.store.RemoveBox(ctx, e.Key); err != nil {
			return err
		}
	}
	err := m.takeUp(e)
	if err == nil {
		return nil
	}
	m.release()
	if fresh(e) {
		err = errors.Join(err, m.store.RemoveBox(ctx, e.Key), m.store.Perl().Erase(m.id))
	}
	return err
}

// fresh says whether nothing stood under the id.
func fresh(e *roster.Entry) bool {
	return e.Found != protocol.Suspended && e.Found != protocol.Crashed
}

// takeUp makes the mailbox, or takes it up as a crash may have left it. The
// gate is open when the record says that somebody is there.
func (m *mailbox) takeUp(e *roster.Entry) error {
	path := m.store.Box(e.Key)
	if err := m.openDirs(path); err != nil {
		return fmt.Errorf("take up %s: %w", path, err)
	}
	if err := gate.Make(path); err != nil {
		return err
	}
	var err error
	if m.gate, err = gate.Keep(path, filepath.Dir(path)); err != nil {
		return err
	}
	if m.lobby, err = gate.OpenLobby(path, e.Key); err != nil {
		return err
	}
	if m.door, err = newDoor(m.store.Roster, m.id); err != nil {
		return err
	}
	if err := m.takeStock(); err != nil {
		return fmt.Errorf("take up %s: %w", path, err)
	}
	m.watch, err = newLookout(m.gate, m.path(newDir), m.door, m.notice)
	if err != nil {
		return err
	}
	// What came between the look at the door and its watch.
	m.door.knock.Store(true)
	m.posts.init(m)
	m.gate.Open(e.Epoch)
	if m.settings.Sync {
		return m.sync()
	}
	return nil
}

// openDirs makes the directories that are missing and opens all.
func (m *mailbox) openDirs(path string) error {
	fsys := m.store.FS()
	boxes, err := fsys.OpenDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer boxes.Close()
	if m.box, err = ensure(boxes, filepath.Base(path)); err != nil {
		return err
	}
	m.shelf = &shelf{
		aside:    corrupt.Place{FS: fsys, Dir: m.store.Path("corrupt", m.entry.Key), Sync: m.settings.Sync},
		notice:   m.notice,
		maxFrame: largestFrame(m.settings),
		maxFile:  largestFile(m.settings),
		order:    order{next: map[string]place{}},
		known:    map[string]*letter{},
		letters:  map[uint64]*letter{},
		stuck:    map[string]bool{},
	}
	if m.shelf.fresh, err = ensure(m.box, newDir); err != nil {
		return err
	}
	if m.shelf.out, err = ensure(m.box, outDir); err != nil {
		return err
	}
	if m.draft, err = ensure(m.box, draftDir); err != nil {
		return err
	}
	return sweep(m.draft)
}

// takeStock finds out what the mailbox holds.
func (m *mailbox) takeStock() error {
	s := m.shelf
	s.gate = m.gate
	// A goodbye that was cut short: senders may have nothing to do with out.
	if err := moveAll(s.out, s.fresh); err != nil {
		return err
	}
	before := s.gate.Tally()
	found, err := s.list(nil)
	if err != nil {
		return err
	}
	var damage error
	s.ledger, damage, err = openLedger(m.box, m.draft, m.settings.Sync, func(name string) bool {
		return lists(found, name)
	})
	if err != nil {
		return err
	}
	if damage != nil {
		m.notice(damage)
	}
	msgs, bytes, last := 0, 0, uint64(0)
	for _, l := range found {
		msgs, bytes = msgs+l.count, bytes+l.bytes
		if r := s.ledger.find(l.name); r != nil {
			msgs -= len(r.acked)
		}
		if l.sender == foreignSender {
			last = max(last, l.place.number)
		}
	}
	m.gate.RecountSince(before, max(msgs, 0), bytes)
	if err := m.door.make(); err != nil {
		return err
	}
	return m.door.takeUp(s, last)
}

// sync puts the mailbox on disk, or what is accepted into it would not be found
// after a power cut.
func (m *mailbox) sync() error {
	boxes, err := m.store.FS().OpenDir(filepath.Dir(m.box.Path()))
	if err != nil {
		return err
	}
	defer boxes.Close()
	return errors.Join(m.gate.Sync(), m.shelf.fresh.Sync(), m.box.Sync(), boxes.Sync())
}

// ensure opens a directory in d, and makes it first if it is missing.
func ensure(d disk.Dir, name string) (disk.Dir, error) {
	if err := d.Mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return d.Sub(name)
}

// sweep removes the files in d.
func sweep(d disk.Dir) error {
	names, err := d.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// moveAll moves the files in d.
func moveAll(from, to disk.Dir) error {
	names, err := from.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := from.Rename(name, to, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
