//go:build unix

package serializertest

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// written gives memory that the kernel writes to, as it would for another
// process: the race detector does not see it.
func written(t *testing.T, size int) (memory []byte, write func([]byte)) {
	f, err := os.Create(filepath.Join(t.TempDir(), "memory"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := f.Truncate(int64(size)); err != nil {
		t.Fatal(err)
	}
	memory, err = syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(memory) })
	return memory, func(b []byte) {
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Error(err)
		}
	}
}
