package rundir

import (
	"errors"
	"io/fs"
	"os"

	"github.com/gofrs/flock"
)

// BusyError is the refusal of a folder that another run holds.
type BusyError struct{ Dir string }

func (e *BusyError) Error() string { return "another run is at work in " + e.Dir }

// Lock keeps other runs off the folder until Unlock: two that write into one would
// replace each other's models and both end well; it is a *BusyError then. The system lets go of it when the
// process ends, however it does. On a file system that knows no locks the run goes
// on without, and unlocked says why.
func (d *Dir) Lock() (unlocked, err error) {
	if err := os.MkdirAll(d.path, 0o755); err != nil {
		return nil, err
	}
	lock := flock.New(d.path, flock.SetFlag(os.O_RDONLY)) // a folder cannot be opened to be written
	var unopened *fs.PathError
	switch held, err := lock.TryLock(); {
	case held:
		d.lock = lock
		return nil, nil
	case err == nil:
		return nil, &BusyError{d.path}
	case errors.As(err, &unopened):
		return nil, err
	default:
		return err, nil
	}
}

// Unlock lets other runs into the folder. Where it is not locked it does nothing.
func (d *Dir) Unlock() error {
	if d.lock == nil {
		return nil
	}
	lock := d.lock
	d.lock = nil
	return lock.Close()
}
