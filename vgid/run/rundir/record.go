package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"vgid/vgid/origin"
)

// RecordFile is where the record of a finished stage lies, in the stage's folder.
const RecordFile = "stage.json"

// Stage is the record of a finished stage. It is written last: while there is none,
// whatever else lies in the stage's folder is not finished.
type Stage struct {
	Name      string      `json:"name"`
	Model     string      `json:"model,omitempty"`   // folder of the model it made
	Adapter   string      `json:"adapter,omitempty"` // folder of the adapter it made
	Steps     int         `json:"steps"`
	Seconds   float64     `json:"seconds"`
	PeakBytes int64       `json:"peak_memory_bytes"` // the largest of the workers
	Settings  []string    `json:"settings"`          // those it depends on, a line each
	Inputs    origin.List `json:"inputs"`            // what it read
	Outputs   origin.List `json:"outputs"`           // what it made, by names below the run's folder
}

// ReadStage reads the record of a stage. Where there is none, the error is
// fs.ErrNotExist.
func (d *Dir) ReadStage(name string) (s Stage, err error) {
	file := d.Path(name, RecordFile)
	raw, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return Stage{}, fmt.Errorf("its record %s cannot be read (%w)", file, err)
	}
	return s, nil
}

// WriteStage writes the record of a stage.
func (d *Dir) WriteStage(s Stage) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(d.Path(s.Name, RecordFile), append(raw, '\n'))
}

// Made lists what finished stages made of a folder, by the records in it and above:
// name to SHA-256. The folder and the names are paths below the run's folder, with
// slashes.
func (d *Dir) Made(folder string) (map[string]string, error) {
	out := map[string]string{}
	for ; folder != "."; folder = path.Dir(folder) {
		s, err := d.ReadStage(filepath.FromSlash(folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, f := range s.Outputs {
			out[f.Name] = f.SHA256
		}
	}
	return out, nil
}
