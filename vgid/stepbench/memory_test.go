package stepbench

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/plan"
	"vgid/vgid/quickstart"
)

// A step that is estimated and taken: the estimate is in the row, and beside it what the
// kernel saw of this process.
func TestMemoryOfLoading(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "m")
	if err := quickstart.Extract(dir); err != nil {
		t.Fatal(err)
	}
	o := MemoryOptions{Dir: dir, Step: "load", Threads: 1, Work: plan.Options{Batch: 1, Tokens: 64, Answer: 4, Images: 1}}
	r, err := RunMemory(t.Context(), o)
	if err != nil {
		if strings.Contains(err.Error(), "Linux only") {
			t.Skip("NOT TESTED HERE: ", err)
		}
		t.Fatal(err)
	}
	if r.Step != "load" || r.Tokens != 64 || r.Estimated.Written == 0 || r.Resident != r.Before+r.Estimated.Mapped+r.Estimated.Written || r.Peak == 0 || r.PeakOwn == 0 {
		t.Errorf("%+v", r)
	}
	var table bytes.Buffer
	if err := r.Table(&table); err != nil || !strings.Contains(table.String(), "load on ") || !strings.Contains(table.String(), "1 × 64 tokens") {
		t.Errorf("%v\n%s", err, table.String())
	}
	o.Step = "jump"
	if _, err := RunMemory(t.Context(), o); err == nil || !strings.HasPrefix(err.Error(), `step "jump" is none of load`) {
		t.Errorf("a step that is none: %v", err)
	}
}

// A step of an adapter on the small shape, alone: its operations are counted and its
// time is measured, in both kinds of step.
func TestAdapterStep(t *testing.T) {
	o := AdapterOptions{Shape: "quickstart", Batch: 1, Tokens: 48, Steps: 1, Rounds: 1, Open: func() (backend.Backend, error) { return cpu.New(1), nil }}
	var plain AdapterRow
	for _, vgid := range []bool{false, true} {
		o.VGID = vgid
		r, err := RunAdapter(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if !(r.StepMS > 0 && r.TokensPerS > 0 && r.TFLOP > 0) || r.Tokens != 48 || r.MFU != 0 || r.Ratio != 0 || (r.Step == "vgid") != vgid {
			t.Errorf("%+v", r)
		}
		if vgid && r.TFLOP <= plain.TFLOP {
			t.Errorf("%g TFLOP with a teacher, %g without", r.TFLOP, plain.TFLOP)
		}
		var table bytes.Buffer
		if err := r.Table(&table); err != nil || !strings.Contains(table.String(), "unknown") || strings.Contains(table.String(), "PEFT") {
			t.Errorf("%v\n%s", err, table.String())
		}
		plain = r
	}
	if got := o.answer(); got != 6 {
		t.Errorf("%d of 48 tokens have a loss, want an eighth", got)
	}
	if few := (&AdapterOptions{Tokens: 3}); few.answer() != 1 {
		t.Error("no token of three has a loss")
	}
	o.Python = "python"
	if _, err := RunAdapter(t.Context(), o); err == nil || !strings.HasPrefix(err.Error(), "shape quickstart has no counterpart in PyTorch") {
		t.Errorf("the quickstart beside PyTorch: %v", err)
	}
	o.Shape = "none"
	if _, err := RunAdapter(t.Context(), o); err == nil || !strings.Contains(err.Error(), `shape "none": must be llava-7b, tiny or quickstart`) {
		t.Errorf("a shape that is none: %v", err)
	}
}

// The row of both programs, for people.
func TestTableBesideTorch(t *testing.T) {
	r := AdapterRow{Shape: "tiny", Step: "train", Device: "cpu", Tokens: 10, StepMS: 5, TokensPerS: 2000, TFLOP: .5, MFU: .25, TorchStepMS: 10, TorchTokensPerS: 1000, TorchMFU: .125, TorchAutocast: true, Ratio: 2}
	var table bytes.Buffer
	if err := r.Table(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"tiny, train step of a rank-16 adapter on cpu, 0.5 TFLOP", "25.0 %", "transformers + PEFT, autocast", "12.5 %", "unknown"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, table.String())
		}
	}
}
