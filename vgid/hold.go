package vgid

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// hold keeps other runs off the run's folder until Leave: two that write into one
// would replace each other's models and both end well. The system lets go of it
// when the process ends, however it does.
func (j *Job) hold() error {
	if err := os.MkdirAll(j.Dir(), 0o755); err != nil {
		return err
	}
	dir, err := os.Open(j.Dir())
	if err != nil {
		return err
	}
	switch err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		dir.Close()
		return fmt.Errorf("another run is at work in %s; wait for its end, or give this one another --name", j.Dir())
	case err != nil: // some file systems know no locks
		dir.Close()
		j.Show.Printf("run folder: other runs cannot be kept off %s: %v", j.Dir(), err)
	default:
		j.held = dir
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
