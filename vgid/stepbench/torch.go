package stepbench

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"

	"vgid/model/kit/measure/bench"
)

//go:embed testdata/bench_step.py testdata/bench_adapter.py
var scripts embed.FS

// PyTorch is the other side of the comparison.
type PyTorch struct {
	Python string // interpreter with torch; empty: vgid is measured alone
	Script string // file to run instead of the script that is embedded
}

// timed is what a script prints on its last line.
type timed struct {
	StepMS    float64 `json:"step_ms_median"`
	PeakBytes int64   `json:"peak_bytes"` // of bench_adapter.py
	Autocast  bool    `json:"autocast"`   // as well
}

// run runs the embedded script of that name in a process of its own. flag names
// the file with data to it.
//
// What the script prints before its last line is passed over. A last line without a
// positive step time is an error that quotes the whole output.
func (p PyTorch) run(ctx context.Context, script, flag string, data []byte, args ...string) (r timed, err error) {
	source, err := scripts.ReadFile("testdata/" + script)
	if err != nil {
		return r, err
	}
	// Data go by a file, since a configuration may be longer than an argument can be.
	const file = "data.json"
	dir, remove, err := bench.Folder(map[string][]byte{script: source, file: data})
	if err != nil {
		return r, err
	}
	defer remove()
	path := filepath.Join(dir, script)
	if p.Script != "" {
		path, script = p.Script, p.Script
	}
	args = append([]string{path, flag, filepath.Join(dir, file)}, args...)
	out, err := bench.Output(ctx, exec.CommandContext(ctx, p.Python, args...))
	if err != nil {
		return r, fmt.Errorf("%s %s: %w", p.Python, script, err)
	}
	if err := json.Unmarshal(bench.LastLine(out), &r); err != nil || r.StepMS <= 0 {
		return r, fmt.Errorf("%s printed no step_ms_median: %q", script, out)
	}
	return r, nil
}
