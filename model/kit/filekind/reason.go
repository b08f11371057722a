package filekind

import (
	"errors"
	"io/fs"
)

// Reason is why a file could not be used, without its path: whoever words the
// error has named the file already, often by the setting that it came from.
func Reason(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}
