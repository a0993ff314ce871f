package bbolt

import "os"

const safely = 0

// unlock does nothing: closing the file is all it takes.
func unlock(*os.File) {}
