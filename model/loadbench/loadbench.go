// Package loadbench measures how long the loading of a checkpoint takes and how
// much memory, and safetensors for Python beside it where there is one.
package loadbench

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"vgid/model/hf"
	"vgid/model/kit/measure/bench"
)

//go:embed testdata/bench_load.py
var script []byte

// Options say what is measured.
// Rounds alternate, so that what else the machine does meets all programs alike.
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
	bench.Program[sample]
	cache, step, call string
}

// The other calls are those of bench_load.py: safe_open, load_file, and load_file by way of
// pread.
const ours = "vgid"

// vgid loads a whole model where the library has only its tensors; the table says so.
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
	const file = "bench_load.py"
	dir, remove, err := bench.Folder(map[string][]byte{file: script})
	if err != nil {
		return r, err
	}
	defer remove()
	ways := o.ways()
	var programs []*bench.Program[sample]
	for _, w := range ways {
		w.Name = w.program()
		w.Measure = func(ctx context.Context, _ int) (sample, error) {
			return o.measure(ctx, w, files, filepath.Join(dir, file))
		}
		programs = append(programs, &w.Program)
	}
	if err := bench.InTurn(ctx, o.Rounds, programs...); err != nil {
		return r, err
	}
	if err := r.check(ways); err != nil {
		return r, err
	}
	r.Rows = rows(ways)
	return r, nil
}

// ways are all combinations of cache, step and program.
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

// ColdError says why a load cannot be measured cold (Options.Cold).
type ColdError struct {
	Why string
	Do  string // what would make it possible, empty where nothing does
}

func (e *ColdError) Error() string {
	if e.Do == "" {
		return e.Why
	}
	return e.Why + "; " + e.Do
}

// prepare reads all files once, or takes them out of the page cache.
func prepare(ctx context.Context, cache string, files []string) error {
	if cache == "cold" {
		stayed, err := drop(files)
		// A hundredth may be pages that the system holds for reasons of its own.
		if err == nil && stayed > 0.01 {
			err = &ColdError{Why: fmt.Sprintf("%.0f %% of the weights stay in the page cache: another program has them mapped", 100*stayed), Do: "end it"}
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
func (o Options) measure(ctx context.Context, w *way, files []string, py string) (s sample, err error) {
	if err := prepare(ctx, w.cache, files); err != nil {
		return s, err
	}
	cmd, err := o.command(ctx, w, py)
	if err != nil {
		return s, err
	}
	begin := time.Now()
	out, err := bench.Output(ctx, cmd)
	if err != nil {
		return s, err
	}
	process := time.Since(begin).Seconds()
	if err := json.Unmarshal(out, &s); err != nil || s.Seconds <= 0 {
		return s, fmt.Errorf("printed no seconds: %q", out)
	}
	s.process = process
	return s, nil
}

// A process of its own for each: memory that one load took would be there for the next.
func (o Options) command(ctx context.Context, w *way, py string) (*exec.Cmd, error) {
	if w.call == ours {
		return worker.Command(ctx, job{Dir: o.Dir, Read: w.step == "read"})
	}
	return exec.CommandContext(ctx, o.Python, py, o.Dir, w.call, w.step), nil
}

// check compares what the ways have read.
// What was read has to be equal, or the times would be of different work.
func (r *Report) check(ways []*way) error {
	// There is a way that reads in every set of ways.
	first := ways[slices.IndexFunc(ways, func(w *way) bool { return w.step == "read" })].Rounds[0]
	r.Bytes = first.Bytes
	for _, w := range ways {
		for _, s := range w.Rounds {
			if w.call != ours {
				r.Reference = s.Program
			}
			if w.step == "read" && (s.Sum != first.Sum || s.Bytes != first.Bytes || s.Tensors != first.Tensors) {
				return fmt.Errorf("%s read %d tensors, %d bytes, sum %x; vgid read %d, %d, %x", w.Name,
					s.Tensors, s.Bytes, s.Sum, first.Tensors, first.Bytes, first.Sum)
			}
		}
	}
	r.Equal = r.Reference != "absent"
	return nil
}

// rows are the ways with medians over rounds. Ratios are of the same round, so that what
// disturbed both cancels.
func rows(ways []*way) (out []Row) {
	seconds := func(s sample) float64 { return s.Seconds }
	for _, w := range ways {
		row := Row{Cache: w.cache, Step: w.step, Program: w.Name, Seconds: w.Median(seconds),
			Process: w.Median(func(s sample) float64 { return s.process })}
		for _, s := range w.Rounds {
			row.Peak, row.Before, row.Own = max(row.Peak, s.Peak), max(row.Before, s.Before), max(row.Own, s.Own)
		}
		if w.call != ours {
			mine := ways[slices.IndexFunc(ways, func(o *way) bool { return o.cache == w.cache && o.step == w.step && o.call == ours })]
			row.Ratio = w.Ratio(&mine.Program, seconds)
		}
		out = append(out, row)
	}
	return out
}

// Table prints the report for people.
func (r Report) Table(to io.Writer) error {
	var t bench.Table
	t.Titlef("%d tensors, %.2f GB in %d files\n", r.Tensors, float64(r.Bytes)*1e-9, r.Files)
	if r.Equal {
		t.Titlef("%s: the same bytes\n", r.Reference)
	}
	t.Rowf("cache\tstep\tprogram\tseconds\tratio\tpeak MB\tbefore\town\tprocess s")
	for _, row := range r.Rows {
		ratio := ""
		if row.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", row.Ratio)
		}
		t.Rowf("%s\t%s\t%s\t%.3f\t%s\t%.0f\t%.0f\t%.0f\t%.2f", row.Cache, row.Step, row.Program, row.Seconds, ratio,
			float64(row.Peak)*1e-6, float64(row.Before)*1e-6, float64(row.Own)*1e-6, row.Process)
	}
	return t.Write(to)
}
