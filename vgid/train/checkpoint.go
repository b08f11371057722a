package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"vgid/model/hf"
	"vgid/model/optim"
	"vgid/vgid/config"
	"vgid/vgid/origin"
)

// Layout identifies the trained parameters and their order.
func (t *Trainer) Layout() string {
	h := sha256.New()
	for _, p := range t.model.Params() {
		if p.Trainable {
			fmt.Fprintln(h, p.Name, p.Value.Rows, p.Value.Cols)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// stateArrays are those of a state, in the order in which a file has them.
var stateArrays = [...]optim.Array{optim.Moment1, optim.Moment2, optim.Values}

// StateArrays are those of a state, in the order in which it is kept.
func StateArrays() []optim.Array { return stateArrays[:] }

const (
	checkpointPrefix = "step-"
	checkpointSuffix = ".safetensors"
)

// SaveCheckpoint writes the state as dir/step-N.safetensors and removes older
// ones once the new one is on disk. It is tied to the configuration c and to what
// the stage read, which it holds, so that a later refusal can name what changed.
func SaveCheckpoint(dir string, c config.Config, inputs origin.List, s State) error {
	read, err := json.Marshal(inputs)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	path := filepath.Join(dir, fmt.Sprintf("%s%08d%s", checkpointPrefix, s.Step, checkpointSuffix))
	var streams []hf.Stream
	for _, a := range stateArrays {
		streams = append(streams, hf.Stream{Name: a.String(), TensorInfo: hf.TensorInfo{DType: "F32", Shape: []int{s.Len}},
			Rows: func(dst []float32, from int) error { return s.Read(a, dst, from) }})
	}
	err = hf.WriteStreams(path, streams, map[string]string{"step": strconv.Itoa(s.Step), "config": c.Digest(), "settings": c.Settings(), "layout": s.Layout, "inputs": string(read)})
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	files, err := Checkpoints(dir)
	if err != nil {
		return err
	}
	for _, old := range files[:len(files)-1] {
		if err := os.Remove(old); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
	}
	return nil
}

// Checkpoint is a state in a file, which is read where it is asked for.
type Checkpoint struct {
	State
	file *hf.Safetensors
}

// Close closes the file.
func (c *Checkpoint) Close() error { return c.file.Close() }

// LoadCheckpoint opens the newest state of dir; it gives nil when there is
// none. A checkpoint of another configuration, of other inputs or another set of
// trained parameters is refused.
func LoadCheckpoint(dir string, c config.Config, inputs origin.List, layout string) (*Checkpoint, error) {
	files, err := Checkpoints(dir)
	if err != nil || len(files) == 0 {
		return nil, err
	}
	path := files[len(files)-1]
	f, err := hf.OpenSafetensors(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w, or remove it to start the stage afresh", err)
	}
	s, err := stateIn(f, path, c, inputs, layout)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Checkpoint{s, f}, nil
}

// stateIn checks what is in a checkpoint's file.
func stateIn(f *hf.Safetensors, path string, c config.Config, inputs origin.List, layout string) (State, error) {
	s, meta := State{Layout: layout}, f.Metadata()
	if meta["config"] != c.Digest() {
		return s, fmt.Errorf("checkpoint %s was made with another configuration%s: resume with that one, or remove the checkpoint to start the stage afresh", path, config.Changed(meta["settings"], c.Settings()))
	}
	if err := sameInputs(meta["inputs"], inputs); err != nil {
		return s, fmt.Errorf("checkpoint %s %w", path, err)
	}
	if meta["layout"] != layout {
		return s, fmt.Errorf("checkpoint %s holds other trained parameters than this run: remove it to start the stage afresh", path)
	}
	var err error
	if s.Step, err = strconv.Atoi(meta["step"]); err != nil {
		return s, fmt.Errorf("checkpoint %s: metadata step %q is not a number", path, meta["step"])
	}
	for i, a := range stateArrays {
		info, ok := f.Info(a.String())
		if !ok || len(info.Shape) != 1 || info.DType != "F32" {
			return s, fmt.Errorf("checkpoint %s: no flat tensor %q of F32: remove it to start the stage afresh", path, a)
		}
		if i > 0 && info.Shape[0] != s.Len {
			return s, fmt.Errorf("checkpoint %s: %d elements of %q beside %d of %q: remove it to start the stage afresh", path, info.Shape[0], a, s.Len, stateArrays[0])
		}
		s.Len = info.Shape[0]
	}
	s.Read = func(a optim.Array, dst []float32, from int) error {
		if err := f.ReadRows(a.String(), dst, from); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		return nil
	}
	return s, nil
}

// sameInputs refuses to go on with other files than those a checkpoint was made of.
func sameInputs(was string, now origin.List) error {
	if was == "" {
		return errors.New("does not say of which files it was made, as those of older versions: remove it to start the stage afresh")
	}
	var before origin.List
	if err := json.Unmarshal([]byte(was), &before); err != nil {
		return fmt.Errorf("does not say readably of which files it was made (%w): remove it to start the stage afresh", err)
	}
	if c := before.Changes(now); len(c) > 0 {
		return fmt.Errorf("was made of other files: %s: resume with those it was made of, or remove it to start the stage afresh", origin.Words(c))
	}
	return nil
}

// Checkpoints lists a folder's checkpoint files, oldest first.
func Checkpoints(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	var out []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), checkpointPrefix) && strings.HasSuffix(e.Name(), checkpointSuffix) {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	sort.Strings(out)
	return out, nil
}
