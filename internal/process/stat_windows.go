package process

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Start is when the process under pid started, in units of 100 ns. An error
// that matches os.ErrProcessDone when there is none.
func Start(pid int) (uint64, error) {
	created, err := creation(pid)
	if err != nil {
		return 0, err
	}
	return uint64(created.HighDateTime)<<32 | uint64(created.LowDateTime), nil
}

// parent is the pid of the process that started the one under pid. Another
// one may have it by now.
func parent(pid int) (int, error) {
	all, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return 0, fmt.Errorf("list the processes: %w", err)
	}
	defer windows.CloseHandle(all)
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(all, &entry); err == nil; err = windows.Process32Next(all, &entry) {
		if int(entry.ProcessID) == pid {
			return int(entry.ParentProcessID), nil
		}
	}
	return 0, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
}

// Alive says whether the process runs.
func Alive(id ID) bool {
	if id.PID <= 0 {
		return false
	}
	start, err := Start(id.PID)
	return err == nil && (id.Start == 0 || id.Start == start)
}

func startTime(pid int) (time.Time, bool) {
	created, err := creation(pid)
	return time.Unix(0, created.Nanoseconds()), err == nil
}

// creation fails for a process that has ended and is only kept by a handle.
func creation(pid int) (windows.Filetime, error) {
	var created, exited, kernel, user windows.Filetime
	gone := fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.SYNCHRONIZE, false, uint32(pid))
	if err != nil {
		return created, gone
	}
	defer windows.CloseHandle(h)
	if s, err := windows.WaitForSingleObject(h, 0); err != nil || s == windows.WAIT_OBJECT_0 {
		return created, gone
	}
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return created, fmt.Errorf("process %d: %w", pid, err)
	}
	return created, nil
}
