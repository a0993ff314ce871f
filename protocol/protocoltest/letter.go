package protocoltest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// letter is a message of the suite. Its bytes tell who wrote it to whom, as
// which one, and carry a checksum over all of it.
type letter struct {
	By, To string
	Seq    int
	// As it was fetched:
	From        string
	Redelivered bool
}

const letterEnd = 4 // bytes of checksum

// write gives the letter's bytes, at least size of them.
func (l letter) write(size int) []byte {
	b := append(strconv.AppendInt([]byte(l.By+"\x00"+l.To+"\x00"), int64(l.Seq), 10), 0)
	for len(b) < size-letterEnd {
		b = append(b, byte(len(b)*7+l.Seq))
	}
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func readLetter(d protocol.Delivery) (letter, error) {
	whole := len(d.Data) - letterEnd
	if whole < 0 || crc32.ChecksumIEEE(d.Data[:whole]) != binary.BigEndian.Uint32(d.Data[whole:]) {
		return letter{}, fmt.Errorf("a message of %d bytes arrived damaged", len(d.Data))
	}
	parts := bytes.SplitN(d.Data[:whole], []byte{0}, 4)
	if len(parts) != 4 {
		return letter{}, fmt.Errorf("not a letter: %q", d.Data)
	}
	seq, err := strconv.Atoi(string(parts[2]))
	return letter{By: string(parts[0]), To: string(parts[1]), Seq: seq, From: d.From, Redelivered: d.Redelivered}, err
}

var frames atomic.Uint64 // made by this process

// frameID makes an id that no other frame has, in the form that foreign writers
// use.
func frameID() []byte {
	return fmt.Appendf(nil, "%08X-0000-7000-8000-%012X", uint32(os.Getpid()), frames.Add(1))
}

func frame(data []byte) protocol.Frame { return protocol.Frame{ID: frameID(), Data: data} }

// letters makes the frames of count letters, numbered from first.
func letters(by, to string, first, count, size int) []protocol.Frame {
	fs := make([]protocol.Frame, count)
	for i := range fs {
		fs[i] = frame(letter{By: by, To: to, Seq: first + i}.write(size))
	}
	return fs
}

// ledger holds that letters of one writer arrive in order, each once, unmarked,
// and from whom they say.
type ledger struct {
	to     string
	proves bool
	next   map[string]int // by writer
	total  int
}

func (s *scene) ledger(to string) *ledger {
	return &ledger{to: to, proves: s.features.Proves, next: map[string]int{}}
}

func (g *ledger) note(l letter) error {
	switch want := g.next[l.By]; {
	case l.To != g.to:
		return fmt.Errorf("a letter to %s arrived at %s", l.To, g.to)
	case l.Seq != want:
		return fmt.Errorf("letter %d from %s to %s arrived where %d was due", l.Seq, l.By, l.To, want)
	case l.Redelivered:
		return fmt.Errorf("letter %d from %s is marked as redelivered, and nothing has crashed", l.Seq, l.By)
	}
	g.next[l.By]++
	g.total++
	return checkFrom(l, g.proves)
}

func checkFrom(l letter, proves bool) error {
	if l.From != l.By && (proves || l.From != "") {
		return fmt.Errorf("letter %d of %s was delivered as from %q", l.Seq, l.By, l.From)
	}
	return nil
}
