package measure

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// MaxSize is the size of the largest message.
const MaxSize = 1 << 20

// Sizes reads sizes of messages, each of which counts once.
func Sizes(texts []string) (sizes []int, err error) {
	for _, text := range texts {
		n, err := strconv.Atoi(text)
		if err != nil || n < MinSize || n > MaxSize {
			return nil, fmt.Errorf("%q must be a number of bytes from %d to %d", text, MinSize, MaxSize)
		}
		if !slices.Contains(sizes, n) {
			sizes = append(sizes, n)
		}
	}
	if sizes == nil {
		return nil, errors.New("must name a number of bytes")
	}
	return sizes, nil
}
