package roster

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

// maxRecord bounds a record in bytes, written and read.
const maxRecord = 16 << 20

// records is the directory peers/. It keeps what it has read, so that looking
// at a thousand records of which none changed costs a thousand lstat calls.
type records struct {
	dir, tmp, corrupt disk.Dir
	sync              bool

	mu   sync.Mutex
	kept map[string]kept
}

// kept is what reading a file gave, and which state of the file that was.
type kept struct {
	info disk.Info
	rec  *record
	err  error // errDamaged
}

// settled is how old a file must be when it is read for its time to tell it
// from its successors: file systems stamp with the kernel's tick, and a
// successor may get the inode as well.
const settled = 50 * time.Millisecond

// errDamaged is that of a file which we did not write as it is now.
var errDamaged = errors.New("is damaged")

// list gives the keys that have a record.
func (rs *records) list() ([]string, error) {
	names, err := rs.dir.Names()
	if err != nil {
		return nil, err
	}
	keys := names[:0]
	for _, name := range names {
		if !strings.HasPrefix(name, ".") {
			keys = append(keys, name)
		}
	}
	return keys, nil
}

// read gives the record of key and when it was written. fs.ErrNotExist,
// errDamaged.
func (rs *records) read(key string) (*record, time.Time, error) {
	info, err := rs.dir.Stat(key)
	if err != nil {
		return nil, time.Time{}, err
	}
	rs.mu.Lock()
	k, ok := rs.kept[key]
	rs.mu.Unlock()
	if ok && same(k.info, info) {
		return k.rec, info.ModTime, k.err
	}
	now := time.Now()
	k = kept{info: info}
	data, err := disk.ReadFile(rs.dir, key, maxRecord)
	switch {
	case err == nil:
		k.rec, k.err = decode(key, data)
	case errors.Is(err, disk.ErrNotRegular) || errors.Is(err, disk.ErrTooLarge):
		k.err = err
	default:
		return nil, time.Time{}, err
	}
	if k.err != nil {
		k.err = fmt.Errorf("%s %w: %w", filepath.Join(rs.dir.Path(), key), errDamaged, k.err)
	}
	rs.mu.Lock()
	if now.Sub(info.ModTime) > settled {
		rs.kept[key] = k
	} else {
		delete(rs.kept, key)
	}
	rs.mu.Unlock()
	return k.rec, info.ModTime, k.err
}

func same(a, b disk.Info) bool {
	return a.Inode == b.Inode && a.Size == b.Size && a.Mode == b.Mode && a.ModTime.Equal(b.ModTime)
}

// forget drops what was kept of records that are no more.
func (rs *records) forget(keys []string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.kept) <= len(keys) {
		return
	}
	there := make(map[string]bool, len(keys))
	for _, key := range keys {
		there[key] = true
	}
	for key := range rs.kept {
		if !there[key] {
			delete(rs.kept, key)
		}
	}
}

func (rs *records) write(rec *record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if len(data) > maxRecord {
		return fmt.Errorf("attributes and statistics of %q take %d bytes of at most %d", rec.ID, len(data), maxRecord)
	}
	return disk.WriteFile(rs.dir, rs.tmp, Key(rec.ID), data, rs.sync)
}

func (rs *records) remove(key string) error {
	err := rs.dir.Remove(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && rs.sync {
		err = rs.dir.Sync()
	}
	return err
}

// setAside moves what stands in the place of a record to where a person finds
// it, whatever it is.
func (rs *records) setAside(key string) error {
	err := rs.dir.Rename(key, rs.corrupt, "peers-"+rand.Text()[:8]+"-"+key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (rs *records) close() error {
	return errors.Join(rs.dir.Close(), rs.tmp.Close(), rs.corrupt.Close())
}
