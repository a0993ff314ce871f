package ipctest

import "strings"

// maxDiff is how many lines a text may have to be compared line by line.
const maxDiff = 1000

// diffContext is how many equal lines are shown around a difference.
const diffContext = 3

// diff shows how to get from one text to another: "-" is expected, "+" came.
func diff(expected, came string) string {
	a, b := strings.Split(expected, "\n"), strings.Split(came, "\n")
	if len(a) > maxDiff || len(b) > maxDiff {
		return "- " + shortText(expected) + "\n+ " + shortText(came)
	}
	var out []string
	for _, l := range edits(a, b) {
		out = append(out, l.op+" "+shortText(l.text))
	}
	return strings.Join(hideEqual(out), "\n")
}

func shortText(s string) string {
	const most = 500
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

type edit struct{ op, text string }

// edits finds the fewest lines to take out and put in, by the length of the
// longest common sequence of every pair of tails.
func edits(a, b []string) []edit {
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []edit
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			out = append(out, edit{" ", a[i]})
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			out = append(out, edit{"-", a[i]})
			i++
		default:
			out = append(out, edit{"+", b[j]})
			j++
		}
	}
	for ; i < len(a); i++ {
		out = append(out, edit{"-", a[i]})
	}
	for ; j < len(b); j++ {
		out = append(out, edit{"+", b[j]})
	}
	return out
}

// hideEqual leaves out equal lines that are far from a difference.
func hideEqual(lines []string) []string {
	near := make([]bool, len(lines))
	for n, l := range lines {
		if l[0] == ' ' {
			continue
		}
		for k := max(0, n-diffContext); k <= min(len(lines)-1, n+diffContext); k++ {
			near[k] = true
		}
	}
	for n := range near { // to leave out a single line would save nothing
		if !near[n] && (n == 0 || near[n-1]) && (n == len(near)-1 || near[n+1]) {
			near[n] = true
		}
	}
	var out []string
	for n, l := range lines {
		switch {
		case near[n]:
			out = append(out, l)
		case n == 0 || near[n-1]:
			out = append(out, "  …")
		}
	}
	return out
}
