package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// print prints what was asked for. The error says what was not as it should
// be.
func (d *demo) print(stdout, stderr io.Writer) error {
	var err error
	switch {
	case d.sum:
		err = errors.Join(d.printSums(stdout), d.printTable(stderr))
	case d.json:
		err = printJSON(stdout, d.summary())
	default:
		err = d.printTable(stdout)
	}
	for _, f := range d.faults() {
		fmt.Fprintf(stderr, "ipcmgr: %s: %s\n", printable(f.path), f.why)
	}
	return errors.Join(err, d.failed(), d.auditErr())
}

// faults lists what could not be read, directories first.
func (d *demo) faults() []fault {
	all := append([]fault{}, d.unreadable...)
	for n, a := range d.answers {
		if a.Why != "" {
			all = append(all, fault{d.files[n].path, a.Why})
		}
	}
	return all
}

var escapeSum = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`)

// printSums prints lines as sha256sum does: one with a name that it has to
// escape starts with a backslash.
func (d *demo) printSums(w io.Writer) error {
	out := bufio.NewWriter(w)
	for n, a := range d.answers {
		if a.Why != "" {
			continue
		}
		name := escapeSum.Replace(d.files[n].path)
		if name != d.files[n].path {
			out.WriteByte('\\') // an error stays until Flush
		}
		fmt.Fprintf(out, "%s  %s\n", hex.EncodeToString(a.Sum), name)
	}
	return out.Flush()
}

func (d *demo) printTable(w io.Writer) error {
	s := d.summary()
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(out, "files\t%d\nbytes\t%s\ntime\t%s\n", s.Files, size(s.Bytes), d.took.Round(time.Millisecond))
	fmt.Fprintf(out, "rate\t%.0f files/s, %s/s\n", float64(s.Files)/s.Seconds, size(int64(float64(s.Bytes)/s.Seconds)))
	fmt.Fprintf(out, "store\t%s\n\n", s.Store)
	fmt.Fprintln(out, "WORKER\tPID\tFILES\tBYTES\tMESSAGES TO\tFROM\tEND")
	for _, l := range s.Workers {
		end := "left"
		if l.Died {
			end = "died"
		}
		fmt.Fprintf(out, "%s\t%d\t%d\t%s\t%d\t%d\t%s\n", l.ID, l.PID, l.Files, size(l.Bytes), l.Sent, l.Read, end)
	}
	fmt.Fprintln(out)
	fmt.Fprintln(out, "AUDIT\t"+strings.Join(auditColumns, "\t"))
	for _, p := range d.audit.Pairs {
		fmt.Fprintln(out, strings.TrimRight("\t"+strings.Join(auditCells(p), "\t"), "\t"))
	}
	return out.Flush()
}
