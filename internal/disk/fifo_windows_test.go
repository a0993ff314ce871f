package disk_test

import "testing"

func fifo(*testing.T, string) {}
