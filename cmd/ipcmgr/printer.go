package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

func addJSON(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON, one object per line")
}

// printer prints rows: a table for people, or an object per line.
type printer struct {
	out   io.Writer
	json  bool
	table *tabwriter.Writer
	err   error // the first
}

func newPrinter(cmd *cobra.Command, asJSON bool, columns ...string) *printer {
	p := &printer{out: cmd.OutOrStdout(), json: asJSON}
	if !asJSON {
		p.table = tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
		p.cells(columns)
	}
	return p
}

// row prints one row: as object, or as cells.
func (p *printer) row(object any, cells ...string) {
	if p.json {
		p.keep(printJSON(p.out, object))
		return
	}
	p.cells(cells)
}

func (p *printer) cells(cells []string) { p.print(p.table, "\t", cells) }

// line prints cells that stand in no table.
func (p *printer) line(cells ...string) { p.print(p.out, "  ", cells) }

func (p *printer) print(w io.Writer, between string, cells []string) {
	shown := make([]string, len(cells))
	for n, c := range cells {
		shown[n] = printable(c)
	}
	_, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(shown, between), between))
	p.keep(err)
}

// printable quotes text that would not stay in its place on a terminal, or that
// could be taken for something quoted.
func printable(text string) string {
	_, err := strconv.Unquote(text)
	quoted := err == nil && text[0] == '"'
	if !quoted && utf8.ValidString(text) && !strings.ContainsFunc(text, unprintable) {
		return text
	}
	return strconv.Quote(text)
}

func unprintable(r rune) bool { return !strconv.IsPrint(r) }

// flush prints what is there and returns the first error.
func (p *printer) flush() error {
	if p.table != nil {
		p.keep(p.table.Flush())
	}
	return p.err
}

func (p *printer) keep(err error) {
	if p.err == nil && err != nil {
		p.err = fmt.Errorf("print: %w", err)
	}
}

// printJSON writes one line with one write, as it is: without the escapes that
// only HTML needs.
func printJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
