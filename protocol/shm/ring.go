//go:build linux && !ipcmgr_fallback

package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/process"
)

// A ring is a file of a page of words and then its room, a power of two in size.
// Positions count bytes, from 0 and without end; a position's place is its
// remainder by the size. What is between head and tail are whole records. The
// words that one side writes are a cache line away from those of the other.
const (
	wordMagic = 0
	wordSize  = 1 // bytes of room
	wordPID   = 2 // the process that writes
	wordStart = 3

	wordTail = 8 // position, and the bits below

	wordHead    = 16 // up to here all records are acknowledged
	wordHanded  = 24 // up to here the present holder may have handed out
	wordDoubted = 25 // up to here one that crashed may have

	ringWords = 26
)

// The low bits of a tail. Positions are multiples of 8.
const (
	sealed   uint64 = 1 << iota // the mailbox refuses: no message comes any more
	over                        // no message comes any more in this ring
	tailBits uint64 = 7
)

const (
	magic    = 0x31676e6972636d70 // "pmcring1"
	pageSize = 4096
	minRoom  = 4096
	maxRoom  = 1 << 32
)

// A record is a word and a frame, padded to a multiple of 8. The word is the
// frame's length and, above that, flags and a mark. It is the writer's before
// the tail has passed it, and the reader's after. A record lies in one piece: a
// pad fills the end of the room where one does not fit.
const (
	flagDone   = 1 << 32 // acknowledged
	flagBack   = 1 << 33 // was put back by a holder that suspended
	flagPad    = 1 << 34 // no frame
	flagBad    = 1 << 35 // no message: what a reader found where a record should be
	flags      = flagDone | flagBack | flagPad | flagBad
	recordMark = 0x5ec0 << 48
)

// farthest is the last position of a ring: a tag has room for it. A sender goes
// on in another ring long before.
const farthest = 8<<tagBits - 1

// span is what a frame of n bytes takes.
func span(n int) uint64 { return 8 + (uint64(n)+7)&^7 }

// ring is one that is mapped.
type ring struct {
	mapped                      []byte
	room                        []byte
	mask                        uint64 // size of the room - 1
	tail, head, handed, doubted *atomic.Uint64
	writer                      process.ID
}

// makeRing makes the file of an empty ring and maps it. Its space is reserved: a
// full file system is an error now, and no fault later.
func makeRing(path string, size int) (*ring, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	err = f.Chmod(0o600)
	if err == nil {
		err = reserve(f, pageSize+size)
	}
	var mapped []byte
	if err == nil {
		mapped, err = mapFile(f, pageSize+size)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	self := process.Self()
	word(mapped, wordSize).Store(uint64(size))
	word(mapped, wordPID).Store(uint64(self.PID))
	word(mapped, wordStart).Store(self.Start)
	word(mapped, wordMagic).Store(magic)
	return newRing(mapped), nil
}

// errBroken is matched by what is wrong with a ring that no sender of ours would
// have written.
var errBroken = errors.New("the ring is damaged")

// openRing maps the ring at path.
func openRing(path string) (*ring, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		info, statErr := os.Lstat(path)
		if statErr == nil && (!info.Mode().IsRegular() || errors.Is(err, fs.ErrPermission)) {
			err = fmt.Errorf("%w: it is %v", errBroken, info.Mode())
		}
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size() - pageSize
	if !info.Mode().IsRegular() || size < minRoom || size > maxRoom || size&(size-1) != 0 {
		return nil, fmt.Errorf("%w: %v of %d bytes", errBroken, info.Mode(), info.Size())
	}
	// A hole is filled when it is read, which is a fault when no memory is left.
	if space := info.Sys().(*syscall.Stat_t).Blocks * 512; space < info.Size() {
		return nil, fmt.Errorf("%w: it has %d bytes, and memory for %d", errBroken, info.Size(), space)
	}
	mapped, err := mapFile(f, int(info.Size()))
	if err != nil {
		return nil, err
	}
	if word(mapped, wordMagic).Load() != magic || word(mapped, wordSize).Load() != uint64(size) {
		word(mapped, wordTail).Or(over) // so that its sender makes another one
		return nil, errors.Join(fmt.Errorf("%w: it does not begin as one", errBroken), unix.Munmap(mapped))
	}
	return newRing(mapped), nil
}

func newRing(mapped []byte) *ring {
	return &ring{
		mapped: mapped, room: mapped[pageSize:], mask: uint64(len(mapped)-pageSize) - 1,
		tail: word(mapped, wordTail), head: word(mapped, wordHead),
		handed: word(mapped, wordHanded), doubted: word(mapped, wordDoubted),
		writer: process.ID{PID: int(int32(word(mapped, wordPID).Load())), Start: word(mapped, wordStart).Load()},
	}
}

func reserve(f *os.File, size int) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, int64(size))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return &fs.PathError{Op: fmt.Sprintf("reserve %d bytes for", size), Path: f.Name(), Err: err}
		default:
			return nil
		}
	}
}

func mapFile(f *os.File, size int) ([]byte, error) {
	mapped, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, &fs.PathError{Op: "map", Path: f.Name(), Err: err}
	}
	return mapped, nil
}

// word is one of the first page's. A mapping begins at a page, so it is aligned.
func word(mapped []byte, i int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&mapped[8*i : 8*i+8][0]))
}

// at is the word of the record at a position.
func (r *ring) at(pos uint64) *atomic.Uint64 {
	off := pos & r.mask
	return (*atomic.Uint64)(unsafe.Pointer(&r.room[off : off+8][0]))
}

func (r *ring) size() uint64 { return r.mask + 1 }

// record reads the record at pos, of which end says how far it can reach: its
// word, its frame and the position after it. What it returns was checked, and is
// within the room whatever others write meanwhile. Where there is none, all up to
// the next one is a bad one.
func (r *ring) record(pos, end uint64) (w uint64, frame []byte, next uint64) {
	w, next, ok := r.begins(pos, end)
	if !ok {
		next = r.resume(pos, end)
		w = recordMark | flagBad | (next - pos - 8)
	}
	from, to := pos&r.mask+8, pos&r.mask+8+uint64(uint32(w))
	if w&flagBad != 0 {
		from -= 8 // so that nobody can take it for a message
	}
	return w, r.room[from:to:to], next
}

// begins says whether a record begins at pos.
func (r *ring) begins(pos, end uint64) (w, next uint64, ok bool) {
	w = r.at(pos).Load()
	n := uint64(uint32(w))
	next = pos + 8 + (n+7)&^7
	ok = w&^(flags|math.MaxUint32) == recordMark && next <= end && pos&r.mask+8+n <= r.size()
	return w, next, ok
}

// resume is where the next record begins after pos, at which there is none. One
// always begins at the end of the room.
func (r *ring) resume(pos, end uint64) uint64 {
	limit := min(end, (pos|r.mask)+1)
	for pos += 8; pos < limit; pos += 8 {
		if _, _, ok := r.begins(pos, end); ok {
			break
		}
	}
	return pos
}

// reach is the position up to which there are records, checked against a
// position that is known to be within them.
func (r *ring) reach(pos, head uint64) (end, flags uint64, err error) {
	tail := r.tail.Load()
	end = tail &^ tailBits
	if end-pos > r.size() || end-head > r.size() || end > farthest {
		return 0, 0, fmt.Errorf("%w: its tail is %d, at %d", errBroken, end, pos)
	}
	return end, tail & tailBits, nil
}

// vacate gives the memory back and keeps the place: who still reads there finds
// zeros, and no fault.
func (r *ring) vacate() {
	// Where it fails, the memory is given back with the place.
	_, _ = unix.MmapPtr(-1, 0, unsafe.Pointer(unsafe.SliceData(r.mapped)), uintptr(len(r.mapped)),
		unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE|unix.MAP_FIXED)
}

// unmap ends the use of the ring. Nothing that was read from it may be used.
func (r *ring) unmap() { _ = unix.Munmap(r.mapped) }
