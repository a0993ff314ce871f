package strictjson

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Doubled says which key stands twice in one object of data, a value that
// Value has accepted; nil if none does. It is slow, and meant for JSON that a
// program wrote by itself: readers differ in which of the two they believe,
// and foreign ones give up.
func Doubled(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return doubled(d)
}

// doubled looks through one value. Its recursion is as deep as Value allows.
func doubled(d *json.Decoder) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			t, err := d.Token()
			if err != nil {
				return err
			}
			key := t.(string)
			if seen[key] {
				return fmt.Errorf("json: the key %q stands twice in one object", key)
			}
			seen[key] = true
		}
		if err := doubled(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
