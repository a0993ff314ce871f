package robustness

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// SAFETY.md names tests that exist, and all of this package.
func TestSafety(t *testing.T) {
	page, err := os.ReadFile("../SAFETY.md")
	require.NoError(t, err)
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(page), -1) {
		dir := strings.TrimPrefix(m[1], "ipcmgr")
		require.Regexp(t, `(?m)^func `+m[2]+`\(`, source(t, filepath.Join("..", dir, "*_test.go")), "in %s", m[1])
		named[m[1]+"."+m[2]] = true
	}
	suite := source(t, "../protocol/protocoltest/*.go")
	parts := regexp.MustCompile("`protocoltest\\.(\\w+)/(\\w+)`").FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, parts)
	for _, m := range parts {
		require.True(t, strings.Contains(suite, `{"`+m[1]+`", `) && strings.Contains(suite, `"`+m[2]+`", `), m[0])
	}
	for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t `).FindAllStringSubmatch(source(t, "*_test.go"), -1) {
		require.True(t, named["robustness."+m[1]] || m[1] == t.Name(), "SAFETY.md does not name %s", m[1])
	}
}

// source is the text of all files that match.
func source(t *testing.T, pattern string) string {
	paths, err := filepath.Glob(pattern)
	require.NoError(t, err)
	var all strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		all.Write(text)
		all.WriteByte('\n')
	}
	return all.String()
}
