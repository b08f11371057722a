package run

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vgid/model/kit/plainjson"
	"vgid/model/kit/safefile"
	"vgid/vgid/train"
)

// Point is one step of a stage's history.
// Loss holds the mean loss of each term by its name; GradNorm is the global norm before
// clipping, of a step of several updates the largest; LR is the step's learning rate.
type Point struct {
	Step     int                `json:"step"`
	Loss     map[string]float64 `json:"loss"`
	GradNorm float64            `json:"grad_norm"`
	LR       float64            `json:"lr"`
}

// lossText is a step's losses for the terminal, in the order of their names: a map's own
// order would make the line jump.
func lossText(r train.StepResult) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(r.Loss)) {
		fmt.Fprintf(&b, "%s %.4f  ", k, r.Loss[k])
	}
	return strings.TrimSpace(b.String())
}

// history appends the steps of a stage to its history.jsonl, on rank 0.
type history struct {
	f   *os.File // nil on other ranks
	enc *json.Encoder
	// The losses of the last step, for the stage's last line on the terminal.
	last string
}

// openHistory keeps the first steps of an interrupted run's file. Ranks that do not
// write get one that only knows the last step.
// A line of a step after those would be there twice, since that step is taken again.
func openHistory(writes bool, path string, steps int) (*history, error) {
	h := &history{}
	if !writes {
		return h, nil
	}
	var keep []Point
	if steps > 0 {
		old, err := ReadHistory(path)
		if err != nil {
			return nil, err
		}
		for _, p := range old {
			if p.Step <= steps {
				keep = append(keep, p)
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
		for _, p := range keep {
			if err := enc.Encode(p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Without O_CREATE: if the file is gone now, somebody removed the run's folder.
	if h.f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return nil, err
	}
	h.enc = json.NewEncoder(h.f)
	return h, nil
}

// add appends a step. The file is not synced: it tells of a run, and what a crash takes
// of it the steps after the checkpoint write again.
func (h *history) add(r train.StepResult) error {
	h.last = lossText(r)
	if h.f == nil {
		return nil
	}
	return h.enc.Encode(Point{Step: r.Step, Loss: r.Loss, GradNorm: r.GradNorm, LR: r.LR})
}

// Close may be called again.
// Some file systems report only here that a write failed, so that its error counts where
// a stage is about to be finished.
func (h *history) Close() error {
	if h.f == nil {
		return nil
	}
	err := h.f.Close()
	h.f = nil
	return err
}

// ReadHistory reads a history.jsonl; a last line cut off by a crash is left out.
// A file that is not there is a history without points: who resumes may have removed it.
func ReadHistory(path string) ([]Point, error) {
	raw, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Point
	for i, line := range strings.SplitAfter(string(raw), "\n") {
		// Also the empty piece behind the last line end.
		if !strings.HasSuffix(line, "\n") {
			break
		}
		var p Point
		if err := plainjson.Unmarshal([]byte(line), &p); err != nil {
			return nil, fmt.Errorf("%s:%d: %w; remove the file to go on without the losses up to here", path, i+1, err)
		}
		out = append(out, p)
	}
	return out, nil
}
