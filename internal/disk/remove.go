package disk

import (
	"errors"
	"io/fs"
)

// RemoveAll removes what name is in d, and if it is a directory all that is in
// it. Nothing is followed. That there is nothing is no error. The error matches
// fs.ErrExist if somebody makes files in it meanwhile.
func RemoveAll(d Dir, name string) error {
	info, err := d.Stat(name)
	if err != nil {
		return gone(err)
	}
	if !info.Mode.IsDir() {
		return gone(d.Remove(name))
	}
	if err := removeContent(d, name); err != nil {
		return gone(err)
	}
	return gone(d.Rmdir(name))
}

func removeContent(d Dir, name string) error {
	sub, err := d.Sub(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	names, err := sub.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		err = errors.Join(err, RemoveAll(sub, name))
	}
	return err
}

// gone is err unless it says that there was nothing.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
