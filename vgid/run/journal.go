package run

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"vgid/model/kit/plainjson"
	"vgid/model/kit/safefile"
)

// journal appends a line for each step of a stage to a file, on the rank that writes.
type journal struct {
	f   *os.File // nil on other ranks
	enc *json.Encoder
}

// openJournal keeps the lines of the first steps of an interrupted run's file. Ranks that
// do not write get one that does nothing.
// A line of a step after those would be there twice, since that step is taken again.
func openJournal[T any](writes bool, path string, steps int, step func(T) int) (*journal, error) {
	if !writes {
		return &journal{}, nil
	}
	var keep []T
	if steps > 0 {
		old, err := readJournal[T](path)
		if err != nil {
			return nil, err
		}
		for _, line := range old {
			if step(line) <= steps {
				keep = append(keep, line)
			}
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	// The steps that stay are never missing, wherever a crash falls: the file is
	// replaced as a whole, and appended to from then on.
	err := safefile.Write(path, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		for _, line := range keep {
			if err := enc.Encode(line); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Without O_CREATE: if the file is gone now, somebody removed the run's folder.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	return &journal{f, json.NewEncoder(f)}, nil
}

// add appends a line. The file is not synced: it tells of a run, and what a crash takes
// of it the steps after the checkpoint write again.
func (j *journal) add(line any) error {
	if j.f == nil {
		return nil
	}
	return j.enc.Encode(line)
}

// Close may be called again.
// Some file systems report only here that a write failed, so that its error counts where
// a stage is about to be finished.
func (j *journal) Close() error {
	if j.f == nil {
		return nil
	}
	err := j.f.Close()
	j.f = nil
	return err
}

// readJournal reads the lines of a file; a last one cut off by a crash is left out.
// A file that is not there has no lines: who resumes may have removed it.
func readJournal[T any](path string) ([]T, error) {
	raw, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []T
	for i, line := range strings.SplitAfter(string(raw), "\n") {
		// Also the empty piece behind the last line end.
		if !strings.HasSuffix(line, "\n") {
			break
		}
		var p T
		if err := plainjson.Unmarshal([]byte(line), &p); err != nil {
			return nil, fmt.Errorf("%s:%d: %w; remove the file to go on without the steps up to here", path, i+1, err)
		}
		out = append(out, p)
	}
	return out, nil
}
