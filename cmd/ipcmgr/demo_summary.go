package main

import (
	"fmt"

	"github.com/ipcmgr/ipcmgr"
)

// summary is the outcome of a demo in figures.
type summary struct {
	Store      string        `json:"store"` // its protocol and serializer
	Files      int           `json:"files"` // that were hashed
	Bytes      int64         `json:"bytes"`
	Seconds    float64       `json:"seconds"`
	Unreadable []unreadable  `json:"unreadable"`
	Workers    []labour      `json:"workers"`
	Audit      []ipcmgr.Pair `json:"audit"`
}

// labour is what one worker did.
type labour struct {
	ID    string `json:"id"`
	PID   int    `json:"pid"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
	Sent  int64  `json:"sent"` // messages to it
	Read  int64  `json:"read"` // messages from it
	Died  bool   `json:"died"`
}

type unreadable struct {
	Path []byte `json:"path"` // in base64: it need not be valid UTF-8
	Why  string `json:"why"`
}

func (d *demo) summary() summary {
	i := d.crew.store.Info()
	s := summary{
		Store: i.Protocol + "+" + i.Serializer, Seconds: d.took.Seconds(),
		Unreadable: []unreadable{}, Audit: d.audit.Pairs,
	}
	if s.Audit == nil {
		s.Audit = []ipcmgr.Pair{}
	}
	for _, f := range d.faults() {
		s.Unreadable = append(s.Unreadable, unreadable{[]byte(f.path), f.why})
	}
	for _, a := range d.answers {
		if a.Why == "" {
			s.Files++
			s.Bytes += a.Size
		}
	}
	for _, w := range d.crew.workers {
		s.Workers = append(s.Workers, labour{
			ID: w.ID(), PID: w.PID(), Files: w.files, Bytes: w.bytes,
			Sent: d.counts.Sent[w.ID()], Read: d.counts.Read[w.ID()], Died: w.dead,
		})
	}
	return s
}

// size gives bytes in the unit that leaves them readable.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v /= 1024; v < 1024 || unit == "TiB" {
			return fmt.Sprintf("%.1f %s", v, unit)
		}
	}
	return ""
}

func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
