package fsqueue

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
)

// A message's file is called
//
//	SENDER-EPOCH-NUMBER-COUNT-BYTES.message   one message, as it is
//	SENDER-EPOCH-NUMBER-COUNT-BYTES.frames    COUNT messages, each after its length (u32, big endian)
//
// all in hexadecimal of fixed width, so that names sort as they were sent.
// SENDER is the beginning of the SHA-256 of the sender's id. EPOCH is the
// sender's. NUMBER counts the sender's files for this receiver, without a gap.
// BYTES is that of the messages alone.
const (
	senderWidth = 16
	epochWidth  = 14
	labelWidth  = senderWidth + 1 + epochWidth + 1 + 12 + 1 + 6 + 1 + 8
	messageEnd  = ".message"
	framesEnd   = ".frames"
)

// The most that is written, and read, in a name.
const (
	maxCount  = 1<<24 - 1
	maxBytes  = 1 << 30
	maxNumber = 1 << 47 // leaves room to count on in 48 bits
)

// place is where a file stands among those of its sender.
type place struct{ epoch, number uint64 }

func (p place) next() place { return place{p.epoch, p.number + 1} }

// label is what the name of a message's file says.
type label struct {
	name   string
	sender string
	place  place
	count  int
	bytes  int // of the messages, without their lengths
	single bool
}

// size is that of the file.
func (l *label) size() int {
	if l.single {
		return l.bytes
	}
	return l.bytes + 4*l.count
}

// senderOf is what stands for a client in the names of what it sends.
func senderOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:senderWidth/2])
}

// labelName writes a name.
func labelName(sender string, p place, count, bytes int, single bool) string {
	b := make([]byte, 0, labelWidth+len(messageEnd))
	b = append(b, sender...)
	b = appendHex(b, p.epoch, epochWidth)
	b = appendHex(b, p.number, 12)
	b = appendHex(b, uint64(count), 6)
	b = appendHex(b, uint64(bytes), 8)
	if single {
		b = append(b, messageEnd...)
	} else {
		b = append(b, framesEnd...)
	}
	return string(b)
}

// appendHex appends "-" and the last width digits of v.
func appendHex(b []byte, v uint64, width int) []byte {
	b = append(b, '-')
	for shift := 4 * (width - 1); shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[v>>shift&15])
	}
	return b
}

var errName = errors.New("not the name of a message's file")

// parseLabel reads a name, which anybody may have chosen.
func parseLabel(name string) (label, error) {
	if len(name) < labelWidth {
		return label{}, errName
	}
	l := label{name: name, sender: name[:senderWidth]}
	switch name[labelWidth:] {
	case messageEnd:
		l.single = true
	case framesEnd:
	default:
		return label{}, errName
	}
	if _, ok := parseHex(l.sender); !ok {
		return label{}, errName
	}
	var v [4]uint64
	rest := name[senderWidth:labelWidth]
	for i, width := range [...]int{epochWidth, 12, 6, 8} {
		n, ok := parseHex(rest[1 : 1+width])
		if rest[0] != '-' || !ok {
			return label{}, errName
		}
		v[i], rest = n, rest[1+width:]
	}
	l.place, l.count, l.bytes = place{v[0], v[1]}, int(v[2]), int(min(v[3], maxBytes+1))
	if l.count == 0 || l.bytes > maxBytes || l.place.number > maxNumber || l.single && l.count != 1 {
		return label{}, errName
	}
	return l, nil
}

func parseHex(s string) (uint64, bool) {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(s, 16, 64)
	return n, err == nil
}
