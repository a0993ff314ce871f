package trial

import "strings"

// WithoutNotices leaves out of a program's standard error what the library logs
// where the machine's limits are reached, as those on watches of directories.
func WithoutNotices(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "WARN ipcmgr") || !strings.Contains(line, "not watched") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
