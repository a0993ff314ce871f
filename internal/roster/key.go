package roster

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxKey is the longest id in bytes that is its own key.
const maxKey = 200

// Key is the file name that stands for id: the id itself where every system
// takes that for a name, else a hash of it.
func Key(id string) string {
	if plain(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "h-" + hex.EncodeToString(sum[:20])
}

func plain(id string) bool {
	if id == "" || len(id) > maxKey || id[0] == '.' || strings.HasPrefix(id, "h-") {
		return false
	}
	// What Windows forbids, so that a store looks the same everywhere.
	if last := id[len(id)-1]; last == '.' || last == ' ' {
		return false
	}
	stem, _, _ := strings.Cut(id, ".")
	switch s := strings.ToUpper(stem); s {
	case "CON", "PRN", "AUX", "NUL":
		return false
	default:
		if len(s) == 4 && (s[:3] == "COM" || s[:3] == "LPT") && s[3] >= '0' && s[3] <= '9' {
			return false
		}
	}
	return !strings.ContainsFunc(id, func(c rune) bool {
		return c < 0x20 || strings.ContainsRune(`/\<>:"|?*`, c)
	})
}
