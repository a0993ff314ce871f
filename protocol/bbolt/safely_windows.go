package bbolt

import "os"

const safely = 0

// removed is never true: what is open is not removed here.
func removed(*os.File) bool { return false }

// unlock does nothing: closing the file is all it takes.
func unlock(*os.File) {}
