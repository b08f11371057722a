// Package loadbench measures how long the loading of a checkpoint takes and how
// much memory, and safetensors for Python beside it where there is one.
package loadbench

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"vgid/model/hf"
	"vgid/model/measure"
)

//go:embed testdata/bench_load.py
var script []byte

// Options say what is measured.
type Options struct {
	Dir    string // folder with weights
	Rounds int    // of all programs in turn, each in a process of its own
	Cold   bool   // also with the files out of the page cache
	Python string // interpreter with safetensors and torch; empty: vgid alone
}

// Report is the result.
type Report struct {
	Bytes     int64  `json:"bytes"` // of all tensors
	Tensors   int    `json:"tensors"`
	Files     int    `json:"files"`
	Reference string `json:"reference"`   // versions; "absent" without Python
	Equal     bool   `json:"equal_bytes"` // both read the same
	Rows      []Row  `json:"rows"`
}

// Row is one way to load; times are medians of rounds, memory the worst.
type Row struct {
	Cache   string  `json:"cache"` // warm, or cold: no page of the files was in memory
	Step    string  `json:"step"`  // load, or read: and sum all bytes on one thread
	Program string  `json:"program"`
	Seconds float64 `json:"seconds"`
	Process float64 `json:"process_seconds"` // of the whole process, its start and imports included
	Peak    int64   `json:"peak_rss_bytes"`  // VmHWM; pages of mapped files count
	Before  int64   `json:"rss_before_bytes"`
	Own     int64   `json:"own_rss_bytes"` // at the end, without pages of files
	// Ratio is the median over rounds of this program's time to vgid's; above 1
	// vgid is faster. 0 for vgid itself.
	Ratio float64 `json:"ratio,omitempty"`
}

// way is a row in the making.
type way struct {
	cache, step, call string
	samples           []sample
}

const ours = "vgid"

func (w *way) program() string {
	if w.call != ours {
		return w.call
	}
	return map[string]string{"load": "vgid: the model", "read": "vgid: its weights"}[w.step]
}

// Run starts processes of the running program, which must call WorkerMain
// before all else.
func Run(ctx context.Context, o Options) (Report, error) {
	w, err := hf.OpenWeights(o.Dir)
	if err != nil {
		return Report{}, err
	}
	r := Report{Tensors: len(w.Names()), Reference: "absent"}
	var files []string
	for _, s := range w.Layout() {
		files = append(files, filepath.Join(o.Dir, s.File))
	}
	r.Files = len(files)
	if err := w.Close(); err != nil { // what is mapped stays in the cache
		return r, err
	}
	dir, err := os.MkdirTemp("", "vgid-bench-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	py := filepath.Join(dir, "bench_load.py")
	if err := os.WriteFile(py, script, 0o600); err != nil {
		return r, err
	}
	ways := o.ways()
	for round := range o.Rounds {
		for i := range ways {
			w := ways[(i+round)%len(ways)] // none always comes first
			if err := prepare(ctx, w.cache, files); err != nil {
				return r, err
			}
			s, err := o.measure(ctx, w, py)
			if err != nil {
				return r, fmt.Errorf("%s: %w", w.program(), err)
			}
			w.samples = append(w.samples, s)
		}
	}
	if err := r.check(ways); err != nil {
		return r, err
	}
	r.Rows = rows(ways)
	return r, nil
}

func (o Options) ways() (out []*way) {
	calls, caches := []string{ours}, []string{"warm"}
	if o.Python != "" {
		calls = append(calls, "safe_open", "load_file", "load_file_pread")
	}
	if o.Cold {
		caches = append(caches, "cold")
	}
	for _, cache := range caches {
		for _, step := range []string{"load", "read"} {
			for _, call := range calls {
				out = append(out, &way{cache: cache, step: step, call: call})
			}
		}
	}
	return out
}

// prepare reads all files once, or takes them out of the page cache.
func prepare(ctx context.Context, cache string, files []string) error {
	if cache == "cold" {
		stayed, err := drop(files)
		if err == nil && stayed > 0.01 {
			err = fmt.Errorf("%.0f %% of the weights stay in the page cache: another program has them mapped; end it, or leave --cold out", 100*stayed)
		}
		return err
	}
	for _, p := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, struct{ io.Reader }{f})
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// measure runs a way in a process of its own.
func (o Options) measure(ctx context.Context, w *way, py string) (s sample, err error) {
	var cmd *exec.Cmd
	if w.call == ours {
		self, err := os.Executable()
		if err != nil {
			return s, err
		}
		spec, err := json.Marshal(job{Dir: o.Dir, Read: w.step == "read"})
		if err != nil {
			return s, err
		}
		cmd = exec.CommandContext(ctx, self)
		cmd.Env = append(os.Environ(), envName+"="+string(spec))
	} else {
		cmd = exec.CommandContext(ctx, o.Python, py, o.Dir, w.call, w.step)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return s, err
		}
		last := bytes.TrimSpace(errs.Bytes())
		return s, fmt.Errorf("%w: %s", cmp.Or(context.Cause(ctx), err), last[bytes.LastIndexByte(last, '\n')+1:])
	}
	s.process = time.Since(begin).Seconds()
	process := s.process
	if err := json.Unmarshal(out.Bytes(), &s); err != nil || s.Seconds <= 0 {
		return s, fmt.Errorf("printed no seconds: %q", out.String())
	}
	s.process = process
	return s, nil
}

// check compares what the ways have read.
func (r *Report) check(ways []*way) error {
	first := ways[slices.IndexFunc(ways, func(w *way) bool { return w.step == "read" })].samples[0]
	r.Bytes = first.Bytes
	for _, w := range ways {
		for _, s := range w.samples {
			if w.call != ours {
				r.Reference = s.Program
			}
			if w.step == "read" && (s.Sum != first.Sum || s.Bytes != first.Bytes || s.Tensors != first.Tensors) {
				return fmt.Errorf("%s read %d tensors, %d bytes, sum %x; vgid read %d, %d, %x", w.program(),
					s.Tensors, s.Bytes, s.Sum, first.Tensors, first.Bytes, first.Sum)
			}
		}
	}
	r.Equal = r.Reference != "absent"
	return nil
}

func rows(ways []*way) (out []Row) {
	for _, w := range ways {
		mine := ways[slices.IndexFunc(ways, func(o *way) bool { return o.cache == w.cache && o.step == w.step && o.call == ours })]
		row := Row{Cache: w.cache, Step: w.step, Program: w.program()}
		var seconds, process, ratio []float64
		for i, s := range w.samples {
			seconds, process = append(seconds, s.Seconds), append(process, s.process)
			ratio = append(ratio, s.Seconds/mine.samples[i].Seconds)
			row.Peak, row.Before, row.Own = max(row.Peak, s.Peak), max(row.Before, s.Before), max(row.Own, s.Own)
		}
		row.Seconds, row.Process = measure.Median(seconds), measure.Median(process)
		if w.call != ours {
			row.Ratio = measure.Median(ratio)
		}
		out = append(out, row)
	}
	return out
}

// Table prints the report for people.
func (r Report) Table(to io.Writer) error {
	fmt.Fprintf(to, "%d tensors, %.2f GB in %d files\n", r.Tensors, float64(r.Bytes)*1e-9, r.Files)
	if r.Equal {
		fmt.Fprintf(to, "%s: the same bytes\n", r.Reference)
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "cache\tstep\tprogram\tseconds\tratio\tpeak MB\tbefore\town\tprocess s")
	for _, row := range r.Rows {
		ratio := ""
		if row.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", row.Ratio)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.3f\t%s\t%.0f\t%.0f\t%.0f\t%.2f\n", row.Cache, row.Step, row.Program, row.Seconds, ratio,
			float64(row.Peak)*1e-6, float64(row.Before)*1e-6, float64(row.Own)*1e-6, row.Process)
	}
	return w.Flush()
}
