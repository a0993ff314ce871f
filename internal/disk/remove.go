package disk

import (
	"context"
	"errors"
	"io/fs"
)

// RemoveAll removes what name is in d, and if it is a directory all that is in
// it. Nothing is followed. That there is nothing is no error. Others may have
// the directory open and make files in it until it is gone: they are removed,
// too, until ctx ends; context.Cause(ctx) is the error then.
func RemoveAll(ctx context.Context, d Dir, name string) error {
	info, err := d.Stat(name)
	if err != nil {
		return gone(err)
	}
	if !info.Mode.IsDir() {
		return gone(d.Remove(name))
	}
	for {
		err := removeContent(ctx, d, name)
		if err == nil {
			err = d.Rmdir(name)
		}
		if !errors.Is(err, fs.ErrExist) { // which a directory that is not empty gives
			return gone(err)
		}
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

func removeContent(ctx context.Context, d Dir, name string) error {
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
		err = errors.Join(err, RemoveAll(ctx, sub, name))
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
