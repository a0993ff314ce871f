package trial

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	t.Setenv(ReportVar, path)
	Report(t, "%d kills", 3)
	Report(t, "%d cuts", 4)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Regexp(t, `^\S+ TestReport: 3 kills\n\S+ TestReport: 4 cuts\n$`, string(text))
}
