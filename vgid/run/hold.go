package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gofrs/flock"
)

// hold keeps other runs off the run's folder until Leave: two that write into one
// would replace each other's models and both end well. The system lets go of it
// when the process ends, however it does.
func (j *Job) hold() error {
	if err := os.MkdirAll(j.Dir(), 0o755); err != nil {
		return err
	}
	dir := flock.New(j.Dir(), flock.SetFlag(os.O_RDONLY)) // a folder cannot be opened to be written
	var unopened *fs.PathError
	switch held, err := dir.TryLock(); {
	case held:
		j.held = dir
	case err == nil:
		return fmt.Errorf("another run is at work in %s; wait for its end, or give this one another --name", j.Dir())
	case errors.As(err, &unopened):
		return err
	default: // some file systems know no locks
		j.Show.Printf("run folder: other runs cannot be kept off %s: %v", j.Dir(), err)
	}
	return nil
}

// Leave lets other runs into the folder that Agree took.
func (j *Job) Leave() error {
	if j.held == nil {
		return nil
	}
	dir := j.held
	j.held = nil
	return dir.Close()
}
