package json

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"testing"
)

// It is base64 as the standard library has it, down to what it refuses.
func TestBase64(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for size := range 200 {
		src := make([]byte, size)
		for i := range src {
			src[i] = byte(rng.Uint32())
		}
		text := appendBase64([]byte("x"), src)
		if want := "x" + base64.StdEncoding.EncodeToString(src); string(text) != want {
			t.Fatalf("%x is %q, want %q", src, text, want)
		}
		text = text[1:]
		for range 20 {
			got, err := appendDecoded([]byte("y"), text)
			want, wantErr := base64.StdEncoding.AppendDecode([]byte("y"), text)
			if (err != nil) != (wantErr != nil) || err == nil && !bytes.Equal(got, want) {
				t.Fatalf("%q is %x, %v, want %x, %v", text, got, err, want, wantErr)
			}
			if len(text) > 0 {
				text[rng.IntN(len(text))] = []byte("\n=A-\x00\xff")[rng.IntN(6)]
			}
		}
	}
}
