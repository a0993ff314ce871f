package bbolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/disk/powerloss"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/stretchr/testify/require"
)

var cutLots = flag.Int("bbolt.cuts", 8, "how many lots are drawn for each half of a commit in which the power is cut")

// memoryDir is a directory in memory where there is one. What these tests cut
// are copies; nothing of them has to be on a disk.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "ipcmgr-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// moment is a store as it was between two operations, and what its clients knew.
type moment struct {
	at      int    // in the record of directories and of clients
	copy    string // of the mailboxes, without bo's messages: there may be little room
	file    []byte // bo's messages; nil before there is a mailbox
	inode   os.FileInfo
	sent    []string // accepted
	acked   []string
	fetched []string // handed out at any time
	back    []string // put back by the suspension that lasts
	line    []string // put back at any time
	state   protocol.State
}

// reel is a life of a mailbox, moment by moment.
type reel struct {
	t       *testing.T
	rec     *powerloss.Recorder
	st      *store
	dir     string // for copies
	moments []moment
	now     moment
}

func boxes(route string) string { return filepath.Join(route, roster.Dot, "box") }

// shoot notes the moment after an operation.
func (r *reel) shoot() {
	r.t.Helper()
	m := r.now
	m.at = r.rec.Now()
	m.copy = filepath.Join(r.dir, fmt.Sprint(len(r.moments)))
	path := filepath.Join(boxes(r.st.Route()), "bo", messagesName)
	copyFiles(r.t, boxes(r.st.Route()), m.copy, path)
	if data, err := os.ReadFile(path); err == nil {
		m.file = data
		m.inode, err = os.Stat(path)
		require.NoError(r.t, err)
	}
	m.sent, m.acked, m.fetched = slices.Clone(m.sent), slices.Clone(m.acked), slices.Clone(m.fetched)
	r.moments = append(r.moments, m)
}

func (r *reel) connect(id string) *mailbox {
	m, err := r.st.Connect(r.t.Context(), protocol.ConnectOptions{ID: id, Mode: protocol.Resume})
	require.NoError(r.t, err)
	if id == "bo" {
		r.now.state, r.now.back = protocol.Active, nil
	}
	r.shoot()
	return m.(*mailbox)
}

func (r *reel) send(al *mailbox, size int, texts ...string) {
	frames := make([]protocol.Frame, len(texts))
	for i, text := range texts {
		frames[i].Data = append([]byte(text), make([]byte, size)...)
	}
	n, err := al.Deliver(r.t.Context(), "bo", frames, false)
	require.NoError(r.t, err)
	r.now.sent = append(r.now.sent, texts[:n]...)
	r.shoot()
}

func (r *reel) fetch(bo *mailbox, n int) []protocol.Delivery {
	ds := make([]protocol.Delivery, n)
	n, err := bo.Fetch(r.t.Context(), ds, false)
	require.NoError(r.t, err)
	r.now.fetched = append(r.now.fetched, texts(ds[:n])...)
	r.shoot()
	return ds[:n]
}

func (r *reel) ack(bo *mailbox, ds ...protocol.Delivery) {
	require.NoError(r.t, bo.Ack(r.t.Context(), ds))
	r.now.acked = append(r.now.acked, texts(ds)...)
	r.shoot()
}

// texts are what messages begin with.
func texts(ds []protocol.Delivery) []string {
	all := []string{}
	for _, d := range ds {
		text, _, _ := bytes.Cut(d.Data, []byte{0})
		all = append(all, string(text))
	}
	return all
}

func (r *reel) run() {
	r.shoot()
	bo, al := r.connect("bo"), r.connect("al")
	count := 0
	next := func(n int) (all []string) {
		for range n {
			count++
			all = append(all, fmt.Sprintf("m%d", count))
		}
		return all
	}
	r.send(al, 10, next(1)...)
	r.send(al, 100, next(20)...)
	r.send(al, 3000, next(5)...)
	ds := r.fetch(bo, 10)
	r.ack(bo, ds[3], ds[7], ds[0])
	for i := range 8 {
		r.send(al, 50*i, next(1+3*i)...)
		more := r.fetch(bo, 3)
		r.ack(bo, more[1:]...)
	}
	r.ack(bo, ds...)
	left := r.fetch(bo, 4)
	require.NoError(r.t, bo.Leave(r.t.Context(), protocol.Departure{Suspend: true, Back: left[2:]}))
	r.now.state, r.now.back, r.now.line = protocol.Suspended, texts(left[2:]), texts(left[2:])
	r.now.fetched = r.now.back // the others count as if they never were
	r.shoot()
	r.send(al, 10, next(2)...)
	bo = r.connect("bo")
	for {
		if ds = r.fetch(bo, 30); len(ds) == 0 {
			break
		}
		r.ack(bo, ds...)
	}
	r.send(al, 3<<19, next(4)...) // makes the file swell
	for {
		if ds = r.fetch(bo, 4); len(ds) == 0 {
			break
		}
		r.ack(bo, ds...)
	}
	info, err := os.Stat(filepath.Join(boxes(r.st.Route()), "bo", messagesName))
	require.NoError(r.t, err)
	require.Less(r.t, info.Size(), int64(swell), "it was replaced by a small one")
	r.send(al, 10, next(3)...)
	cy := r.connect("cy")
	r.send(cy, 10, next(2)...)
	r.ack(bo, r.fetch(bo, 9)...)
	require.NoError(r.t, bo.Seal(r.t.Context()))
	require.NoError(r.t, bo.Leave(r.t.Context(), protocol.Departure{}))
	r.now.state = protocol.Gone
	r.shoot()
	bo = r.connect("bo")
	r.send(cy, 10, next(3)...)
	ds = r.fetch(bo, 2)
	r.send(al, 10, next(1)...)
	r.ack(bo, ds[0])
	require.NoError(r.t, cy.Leave(r.t.Context(), protocol.Departure{}))
	r.shoot()
}

// copyFiles copies directories and regular files, but for one.
func copyFiles(t *testing.T, from, to, but string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch target := filepath.Join(to, rel); {
		case e.IsDir():
			return os.Mkdir(target, 0o700)
		case e.Type().IsRegular() && path != but:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(target, data, 0o600)
		}
		return nil
	}))
}

// Whenever the power is cut in a commit, before it, or after it: the file is what
// it was before, or what it became. So is the mailbox while it is made or
// removed, and the record of its client.
func TestPowerLoss(t *testing.T) {
	recorded := memoryDir(t)
	rec := powerloss.New(disk.Real, recorded)
	k := roster.Kind{Protocol: name, FS: rec}
	st, err := handle(k.Spawn(t.Context(), filepath.Join(recorded, "s"), protocol.Settings{MaxFrame: 1 << 21, Sync: true}))
	require.NoError(t, err)
	r := &reel{t: t, rec: rec, st: st.(*store), dir: memoryDir(t)}
	r.run()
	require.NoError(t, st.Close())

	seed := rand.Uint64()
	trial.Report(t, "seed %d", seed)
	c := &cutter{t: t, reel: r, lots: rand.New(rand.NewPCG(seed, 0)), dir: memoryDir(t)}
	for i := range r.moments {
		c.after(i)
		if i > 0 {
			c.between(i-1, i)
		}
	}
	trial.Report(t, "%d cuts", c.cuts)
}

// cutter makes stores as a cut leaves them, and checks them.
type cutter struct {
	t    *testing.T
	reel *reel
	lots *rand.Rand
	dir  string
	cuts int
}

// leave makes a store of moment i, perhaps with another file and other marks.
func (c *cutter) leave(i int, file, marks []byte) (route string) {
	m := &c.reel.moments[i]
	if file == nil {
		file = m.file
	}
	route = c.rebuild(m.at, powerloss.None, i)
	if box := filepath.Join(boxes(route), "bo"); m.file != nil {
		require.NoError(c.t, os.WriteFile(filepath.Join(box, messagesName), file, 0o600))
		if marks != nil {
			require.NoError(c.t, os.WriteFile(filepath.Join(box, marksName), marks, 0o600))
		}
	}
	return route
}

// rebuild makes the directories and records that a cut leaves, and puts the
// mailboxes of moment i into them. What is there and was not any more has lost
// its marks.
func (c *cutter) rebuild(at int, fate powerloss.Fate, i int) (route string) {
	c.cuts++
	to := filepath.Join(c.dir, fmt.Sprint(c.cuts))
	require.NoError(c.t, c.reel.rec.Rebuild(at, fate, to))
	route = filepath.Join(to, "s")
	there, err := os.ReadDir(boxes(route))
	require.NoError(c.t, err)
	for _, box := range there {
		path := filepath.Join(boxes(route), box.Name())
		require.NoError(c.t, os.Remove(path))
		last := i
		for ; last > 0; last-- {
			if _, err := os.Stat(filepath.Join(c.reel.moments[last].copy, box.Name())); err == nil {
				break
			}
		}
		m := &c.reel.moments[last]
		copyFiles(c.t, filepath.Join(m.copy, box.Name()), path, "")
		if box.Name() == "bo" {
			require.NoError(c.t, os.WriteFile(filepath.Join(path, messagesName), m.file, 0o600))
		}
		if last < i {
			require.NoError(c.t, os.Remove(filepath.Join(path, marksName)))
		}
	}
	return route
}

func (c *cutter) check(what, route string, before, after *moment) {
	c.t.Helper()
	ok := c.t.Run(what, func(t *testing.T) { survives(t, route, before, after) })
	require.True(c.t, ok)
	require.NoError(c.t, os.RemoveAll(filepath.Dir(route)))
}

// fates are what may become of directories and records.
func (c *cutter) fates() []powerloss.Fate {
	lot := powerloss.Chance(c.lots)
	return []powerloss.Fate{powerloss.None, powerloss.All, lot, lot, lot}
}

// after cuts when an operation has returned.
func (c *cutter) after(i int) {
	m := &c.reel.moments[i]
	for n, fate := range c.fates() {
		c.check(fmt.Sprint(i, "-", n), c.rebuild(m.at, fate, i), m, m)
	}
}

// between cuts in an operation: while the file or the marks are written, and then
// while directories and records are.
func (c *cutter) between(i, j int) {
	before, after := &c.reel.moments[i], &c.reel.moments[j]
	switch {
	case before.file == nil || after.file == nil: // the file comes and goes with its directory
	case bytes.Equal(before.file, after.file):
		c.marked(i, j)
	case !os.SameFile(before.inode, after.inode):
		// Replaced by one that was on disk before: by name, it is the one or the other.
		c.check(fmt.Sprint(i, "-new"), c.leave(i, after.file, c.marks(i)), before, after)
	default:
		c.commit(i, j)
	}
	for at := before.at + 1; at <= after.at; at++ {
		has := j
		if after.file == nil {
			has = i
		}
		for n, fate := range c.fates() {
			c.check(fmt.Sprint(i, "-", at, "-", n), c.rebuild(at, fate, has), before, after)
		}
	}
}

// marked cuts while words are written: what was handed out, or receipts.
func (c *cutter) marked(i, j int) {
	before, after := &c.reel.moments[i], &c.reel.moments[j]
	c.check(fmt.Sprint(i, "-marks"), c.leave(i, nil, c.marks(j)), before, after)
	if before.state != after.state {
		return // they are on disk before the state is
	}
	for n := range *cutLots {
		c.check(fmt.Sprint(i, "-marks-", n), c.leave(i, nil, c.torn(c.marks(i), c.marks(j))), before, after)
	}
}

func (c *cutter) marks(i int) []byte {
	data, err := os.ReadFile(filepath.Join(c.reel.moments[i].copy, "bo", marksName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	require.NoError(c.t, err)
	return data
}

// commit cuts in a commit, which puts all pages but one on disk, and then the
// one that makes them count.
func (c *cutter) commit(i, j int) {
	before, after := &c.reel.moments[i], &c.reel.moments[j]
	require.Equal(c.t, transaction(before.file)+1, transaction(after.file), "one commit")
	marks := [][]byte{nil, c.marks(j)}
	if before.state != after.state {
		marks[1] = nil // those are cleared when the commit has been made
	}
	for n := range *cutLots {
		file := grown(before.file, len(after.file))
		for at := 2 * pageSize; at < len(file); at += pageSize {
			if c.lots.IntN(2) == 0 {
				copy(file[at:at+pageSize], c.torn(file[at:at+pageSize], after.file[at:at+pageSize]))
			}
		}
		c.check(fmt.Sprint(i, "-pages-", n), c.leave(i, file, marks[n%2]), before, before)
	}
	for n := range *cutLots {
		file := slices.Clone(after.file)
		for at := 0; at < 2*pageSize; at += pageSize {
			k := c.lots.IntN(128) // what a page says of itself ends before
			copy(file[at+k:at+pageSize], before.file[at+k:at+pageSize])
		}
		c.check(fmt.Sprint(i, "-meta-", n), c.leave(i, file, marks[n%2]), before, after)
	}
}

var pageSize = os.Getpagesize()

// transaction is the number of the last one in a file.
func transaction(file []byte) uint64 {
	const at = 64 // see bbolt's internal/common/meta.go
	return max(binary.NativeEndian.Uint64(file[at:]), binary.NativeEndian.Uint64(file[pageSize+at:]))
}

// grown is a copy that has the length of what it becomes.
func grown(file []byte, size int) []byte {
	return append(slices.Clone(file), make([]byte, max(0, size-len(file)))...)
}

// torn is a mixture of sectors of two pieces, the first of which may be shorter.
func (c *cutter) torn(before, after []byte) []byte {
	left := grown(before, len(after))
	for at := 0; at < len(after); at += 512 {
		if c.lots.IntN(2) == 0 {
			copy(left[at:], after[at:min(at+512, len(after))])
		}
	}
	return left
}

// inOrder says whether what was put back came first, and all as it was sent.
func inOrder(got, line, sent []string) bool {
	place := func(text string) int {
		if slices.Contains(line, text) {
			return slices.Index(line, text) - len(line)
		}
		return slices.Index(sent, text)
	}
	return slices.IsSortedFunc(got, func(a, b string) int { return place(a) - place(b) })
}

// survives checks a store that a cut has left between two moments.
func survives(t *testing.T, route string, before, after *moment) {
	st, err := Protocol{}.Open(t.Context(), route)
	require.NoError(t, err)
	defer st.Close()
	connect := func(id string) protocol.Mailbox {
		m, err := st.Connect(t.Context(), protocol.ConnectOptions{ID: id, Mode: protocol.Resume, Notice: func(err error) { t.Error("notice:", err) }})
		require.NoError(t, err)
		return m
	}
	bo := connect("bo")
	if before.state == after.state && before.state == protocol.Suspended {
		require.Equal(t, protocol.Suspended, bo.Found())
	}
	ds := make([]protocol.Delivery, 100)
	var got []string
	for {
		n, err := bo.Fetch(t.Context(), ds, false)
		require.NoError(t, err)
		if n == 0 {
			break
		}
		for i, text := range texts(ds[:n]) {
			got = append(got, text)
			if before.state != after.state {
				continue
			}
			if before.state == protocol.Suspended {
				require.Equal(t, slices.Contains(before.back, text), ds[i].Redelivered, text)
				continue
			}
			if slices.Contains(before.fetched, text) {
				require.True(t, ds[i].Redelivered, "%s was handed out", text)
			}
			if !slices.Contains(after.fetched, text) && !slices.Contains(after.back, text) {
				require.False(t, ds[i].Redelivered, "%s was not handed out", text)
			}
		}
		require.NoError(t, bo.Ack(t.Context(), ds[:n]))
	}
	for _, text := range before.sent {
		if !slices.Contains(after.acked, text) {
			require.Contains(t, got, text, "accepted and lost")
		}
	}
	for _, text := range got {
		require.Contains(t, after.sent, text, "nobody sent it")
		require.NotContains(t, before.acked, text, "what was acknowledged came again")
	}
	require.True(t, inOrder(got, before.line, after.sent) || inOrder(got, after.line, after.sent), got)
	al := connect("al")
	_, err = al.Deliver(t.Context(), "bo", []protocol.Frame{{Data: []byte("new")}}, false)
	require.NoError(t, err)
	n, err := bo.Fetch(t.Context(), ds, false)
	require.NoError(t, err)
	require.Equal(t, []string{"new"}, texts(ds[:n]))
	require.NoError(t, bo.Seal(t.Context()))
	require.NoError(t, bo.Leave(t.Context(), protocol.Departure{}))
}
