package ipcmgr

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

const idLen = 36

const upperHex = "0123456789ABCDEF"

// idSeries makes ids for messages: UUIDs of version 7 in upper case, as Perl's
// IPC::Manager writes them. The random part is drawn once, by the runtime's
// generator, and counted up from there: most ids differ from the one before in
// their last digits only.
type idSeries struct {
	text   [idLen]byte
	millis int64
	serial uint64
}

func newIDSeries() idSeries {
	s := idSeries{millis: -1, serial: rand.Uint64()}
	fixed := rand.Uint64()
	copy(s.text[:], "........-....-....-....-............")
	putHex(s.text[14:18], 0x7000|fixed&0x0fff)
	putHex(s.text[19:23], 0x8000|fixed>>16&0x3fff)
	putHex(s.text[24:], s.serial)
	return s
}

// next appends the id of a message of that time.
func (s *idSeries) next(dst []byte, millis int64) []byte {
	if millis != s.millis {
		s.millis = millis
		putHex(s.text[:8], uint64(millis)>>16)
		putHex(s.text[9:13], uint64(millis))
	}
	s.serial++
	for i, n := idLen-1, s.serial; i >= 24; i, n = i-1, n>>4 {
		s.text[i] = upperHex[n&15]
		if n&15 != 0 { // no carry: the digits before it stay
			break
		}
	}
	return append(dst, s.text[:]...)
}

// putHex fills text with the last digits of n.
func putHex(text []byte, n uint64) {
	for i := len(text) - 1; i >= 0; i-- {
		text[i] = upperHex[n&15]
		n >>= 4
	}
}

// newID returns an id for a message that belongs to no series.
func newID() string {
	s := newIDSeries()
	return string(s.next(nil, time.Now().UnixMilli()))
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

// CheckID says why id cannot name a client, with an error that matches
// ErrBadID; nil if it can.
func CheckID(id string) error { return protocol.CheckID(id) }

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
