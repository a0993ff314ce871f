package trial

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ReportVar is the environment variable that names a file for Report.
const ReportVar = "IPCMGR_REPORT"

// Report logs what a test has tried, and appends it to the file that
// $IPCMGR_REPORT names: the log of a test that passes is seen by nobody.
func Report(t testing.TB, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	t.Log(text)
	path := os.Getenv(ReportVar)
	if path == "" {
		return
	}
	room := strings.TrimSuffix(filepath.Base(os.Args[0]), ".test")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		// One write, so that packages that are tested at once do not mix.
		_, err = fmt.Fprintf(f, "%s %s: %s\n", room, t.Name(), text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Error(err)
	}
}
