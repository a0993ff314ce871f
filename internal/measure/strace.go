package measure

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// strace is the program that counts system calls, or "" where there is none.
func strace() string {
	if runtime.GOOS != "linux" {
		return ""
	}
	path, err := exec.LookPath("strace")
	if err != nil {
		return ""
	}
	return path
}

// counting makes a command one whose system calls, those of all its threads,
// are counted into a new file in dir.
func counting(cmd *exec.Cmd, strace, dir string) *exec.Cmd {
	file := filepath.Join(dir, rand.Text())
	counted := exec.Command(strace, slices.Concat([]string{"-f", "-c", "-qq", "-o", file, "--", cmd.Path}, cmd.Args[1:])...)
	counted.Env, counted.Stderr = cmd.Env, cmd.Stderr
	return counted
}

// counted sums the calls in the files that counting has had written in dir.
func counted(dir string) (int, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, path := range paths {
		n, err := total(path)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// total reads the last line of strace's summary:
//
//	100.00    0.000000           0       350        25 total
func total(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) >= 5 && fields[len(fields)-1] == "total" {
			return strconv.Atoi(fields[3])
		}
	}
	return 0, fmt.Errorf("%s has no total", path)
}
