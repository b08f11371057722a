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

// State is what a stage needs to go on exactly where it stopped. Everything
// random is a function of the step, so there is no generator state.
type State struct {
	optim.TrainState        // Step counts the stage's steps
	Layout           string // identifies the trained parameters and their order
}

// State copies what a checkpoint needs.
func (t *Trainer) State() (State, error) {
	s, err := t.opt.State()
	s.Step = t.step
	return State{TrainState: s, Layout: t.Layout()}, err
}

// Restore continues from a checkpoint.
func (t *Trainer) Restore(s State) error {
	t.step = s.Step
	s.TrainState.Step *= len(t.draw(0)) // the optimizer counts updates
	return t.opt.Restore(s.TrainState)
}

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
	n := len(s.Values)
	path := filepath.Join(dir, fmt.Sprintf("%s%08d%s", checkpointPrefix, s.Step, checkpointSuffix))
	err = hf.WriteSafetensors(path, []hf.NamedTensor{
		{Name: "value", Shape: []int{n}, DType: "F32", Data: s.Values},
		{Name: "moment1", Shape: []int{n}, DType: "F32", Data: s.M},
		{Name: "moment2", Shape: []int{n}, DType: "F32", Data: s.V},
	}, map[string]string{"step": strconv.Itoa(s.Step), "config": c.Digest(), "settings": c.Settings(), "layout": s.Layout, "inputs": string(read)})
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

// LoadCheckpoint reads the newest state of dir; it reports false when there is
// none. A checkpoint of another configuration, of other inputs or another set of
// trained parameters is refused.
func LoadCheckpoint(dir string, c config.Config, inputs origin.List, layout string) (State, bool, error) {
	files, err := Checkpoints(dir)
	if err != nil || len(files) == 0 {
		return State{}, false, err
	}
	path := files[len(files)-1]
	f, err := hf.OpenSafetensors(path)
	if err != nil {
		return State{}, false, fmt.Errorf("checkpoint: %w, or remove it to start the stage afresh", err)
	}
	defer f.Close()
	meta := f.Metadata()
	if meta["config"] != c.Digest() {
		return State{}, false, fmt.Errorf("checkpoint %s was made with another configuration%s: resume with that one, or remove the checkpoint to start the stage afresh", path, config.Changed(meta["settings"], c.Settings()))
	}
	if err := sameInputs(meta["inputs"], inputs); err != nil {
		return State{}, false, fmt.Errorf("checkpoint %s %w", path, err)
	}
	if meta["layout"] != layout {
		return State{}, false, fmt.Errorf("checkpoint %s holds other trained parameters than this run: remove it to start the stage afresh", path)
	}
	s := State{Layout: layout}
	if s.Step, err = strconv.Atoi(meta["step"]); err != nil {
		return State{}, false, fmt.Errorf("checkpoint %s: metadata step %q is not a number", path, meta["step"])
	}
	for _, t := range []struct {
		name string
		to   *[]float32
	}{{"value", &s.Values}, {"moment1", &s.M}, {"moment2", &s.V}} {
		info, ok := f.Info(t.name)
		if !ok || len(info.Shape) != 1 {
			return State{}, false, fmt.Errorf("checkpoint %s: no flat tensor %q", path, t.name)
		}
		*t.to = make([]float32, info.Shape[0])
		if err := f.ReadF32(t.name, *t.to); err != nil {
			return State{}, false, fmt.Errorf("checkpoint: %w", err)
		}
	}
	return s, true, nil
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
