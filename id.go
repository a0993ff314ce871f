package ipcmgr

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// newID returns an id for a message: a UUID of version 7 in upper case, as
// Perl's IPC::Manager writes them. The random part comes from the runtime's
// generator, which asks the system once for a seed.
func newID() string {
	var text [idLen]byte
	putID(&text, time.Now().UnixMilli())
	return string(text[:])
}

const idLen = 36

const upperHex = "0123456789ABCDEF"

func putID(text *[idLen]byte, millis int64) {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(millis)<<16|0x7000|rand.Uint64()&0x0fff)
	binary.BigEndian.PutUint64(b[8:], rand.Uint64()&(1<<62-1)|1<<63)
	n := 0
	for i, c := range b {
		switch i {
		case 4, 6, 8, 10:
			text[n] = '-'
			n++
		}
		text[n], text[n+1] = upperHex[c>>4], upperHex[c&15]
		n += 2
	}
}

// maxMessageID keeps an id usable as the stem of a file's name.
const maxMessageID = 128

// checkMessageID says why an id that a program chose cannot be a message's.
func checkMessageID(id string) error {
	if len(id) > maxMessageID {
		return fmt.Errorf("message id %q… has %d bytes, at most %d are allowed", id[:24], len(id), maxMessageID)
	}
	if id[0] == '.' || id[0] == '-' || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return fmt.Errorf("message id %q: only letters, digits, '-', '_' and '.' are allowed, and not '.' or '-' first", id)
	}
	return nil
}

// Clients that name themselves are anonymous: their ids are random, and what
// they count is counted under one name.
const (
	anonymousPrefix = "anon-"
	anonymousName   = "_cli"
)

// newAnonymousID returns an id that nobody has.
func newAnonymousID() string {
	return fmt.Sprintf("%s%013x%08x", anonymousPrefix, time.Now().UnixMicro(), rand.Uint32())
}

// countedAs is the name under which a client's messages are counted.
func countedAs(id string) string {
	if rest, ok := strings.CutPrefix(id, anonymousPrefix); ok && len(rest) == 21 && strings.Trim(rest, "0123456789abcdef") == "" {
		return anonymousName
	}
	return id
}
