package bbolt

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	bolt "go.etcd.io/bbolt"
)

// The format of bbolt's pages, in the machine's byte order. A page begins with
// its id (8 bytes), flags (2), count (2), and the number of pages that belong to
// it besides (4). Then come count elements of 16 bytes. In a branch these are
// the key's place and size (4 each) and a page (8); in a leaf flags, the key's
// place and size, and the size of the value that follows it (4 each). A place
// counts from its element on. The value of a bucket begins with its root page
// (8 bytes, 0 for a bucket that lies within the value).
const (
	headSize   = 16
	branchPage = 0x01
	leafPage   = 0x02
	bucketFlag = 0x01
)

// sound says whether the pages of a file form a tree. Bolt follows references
// without a look at where it was before: round a circle it would go until the
// stack ends the process, which no recover prevents.
func sound(db *bolt.DB) error {
	tx, err := db.Begin(false)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	f, err := os.OpenFile(db.Path(), os.O_RDONLY|safely, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r := &reader{file: f, size: info.Size(), unit: int64(db.Info().PageSize)}
	seen := map[uint64]bool{}
	for todo := []uint64{uint64(tx.Cursor().Bucket().Root())}; len(todo) > 0; {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[id] {
			return fmt.Errorf("%w: two references to page %d", errDamaged, id)
		}
		seen[id] = true
		p, err := r.page(id)
		if err == nil {
			todo, err = p.references(todo)
		}
		if err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
	}
	return nil
}

// reader reads the pages of a file.
type reader struct {
	file *os.File
	size int64 // of the file,
	unit int64 // and of a page, in bytes
	buf  []byte
}

var (
	errBeyond  = fmt.Errorf("%w: it reaches beyond its end", errDamaged)
	errNotTree = fmt.Errorf("%w: it is neither a branch nor a leaf", errDamaged)
)

// page reads a page with those that belong to it; it is valid until the next.
func (r *reader) page(id uint64) (page, error) {
	if id >= uint64(r.size/r.unit) {
		return nil, errBeyond
	}
	at := int64(id) * r.unit
	var head [headSize]byte
	if _, err := r.file.ReadAt(head[:], at); err != nil {
		return nil, err
	}
	p := page(head[:])
	size := (1 + int64(p.long(12))) * r.unit
	switch {
	case binary.NativeEndian.Uint64(p) != id, p.flags() != branchPage && p.flags() != leafPage:
		return nil, errNotTree
	case at+size > r.size:
		return nil, errBeyond
	}
	if int64(cap(r.buf)) < size {
		r.buf = make([]byte, size)
	}
	r.buf = r.buf[:size]
	_, err := io.ReadFull(io.NewSectionReader(r.file, at, size), r.buf)
	return r.buf, err
}

// page is a branch or a leaf.
type page []byte

func (p page) flags() uint16      { return binary.NativeEndian.Uint16(p[8:]) }
func (p page) count() int         { return int(binary.NativeEndian.Uint16(p[10:])) }
func (p page) long(at int) uint64 { return uint64(binary.NativeEndian.Uint32(p[at:])) }

// references appends the pages that p refers to, and finds elements that are
// not within it.
func (p page) references(to []uint64) ([]uint64, error) {
	for i := range p.count() {
		at := headSize * (1 + i)
		if at+headSize > len(p) {
			return nil, errBeyond
		}
		if p.flags() == branchPage {
			if uint64(at)+p.long(at)+p.long(at+4) > uint64(len(p)) {
				return nil, errBeyond
			}
			to = append(to, binary.NativeEndian.Uint64(p[at+8:]))
			continue
		}
		value := uint64(at) + p.long(at+4) + p.long(at+8)
		end := value + p.long(at+12)
		if end > uint64(len(p)) {
			return nil, errBeyond
		}
		if p.long(at)&bucketFlag == 0 {
			continue
		}
		if end < value+headSize {
			return nil, errBeyond
		}
		if root := binary.NativeEndian.Uint64(p[value:]); root != 0 {
			to = append(to, root)
		}
	}
	return to, nil
}
