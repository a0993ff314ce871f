//go:build unix

package robustness

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
)

// letter is the content of a message of the crash tests.
type letter struct {
	From string
	Life int
	To   string
	Seq  int // within the life, by receiver, from 0
	Pad  string
	Sum  uint32
}

// pads are cut from one text that is nowhere the same.
var padding = func() string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 1<<20)
	for n := range b {
		b[n] = byte(' ' + r.IntN(95))
	}
	return string(b)
}()

// newLetter has a size that is mostly small, and sometimes more than any
// buffer on its way holds.
func newLetter(r *rand.Rand, from string, life int, to string, seq int) letter {
	size := r.IntN(300)
	switch n := r.IntN(200); {
	case n == 0:
		size = r.IntN(200 << 10)
	case n < 20:
		size = r.IntN(8 << 10)
	}
	start := r.IntN(len(padding) - size)
	l := letter{From: from, Life: life, To: to, Seq: seq, Pad: padding[start : start+size]}
	l.Sum = l.sum()
	return l
}

func (l *letter) sum() uint32 {
	head := fmt.Sprint(l.From, l.Life, l.To, l.Seq, len(l.Pad))
	return crc32.Update(crc32.ChecksumIEEE([]byte(head)), crc32.IEEETable, []byte(l.Pad))
}
