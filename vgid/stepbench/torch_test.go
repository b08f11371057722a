package stepbench

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// python is a program that answers as a script does, after it has looked for the
// script and its data.
func python(t *testing.T, answer string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "python")
	script := "#!/bin/sh\n[ -s \"$1\" ] && [ -s \"$3\" ] || { echo \"no $1 or $3\" >&2; exit 1; }\n" + answer + "\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return program
}

func options(python string) Options {
	return Options{Threads: []int{1}, Steps: 1, Rounds: 2, Samples: 2, PyTorch: PyTorch{Python: python}}
}

func TestAlone(t *testing.T) {
	rows, err := Run(context.Background(), options(""))
	if err != nil || len(rows) != 1 {
		t.Fatalf("%+v, %v", rows, err)
	}
	if r := rows[0]; !(r.StepMS > 0 && r.TokensPerS > 0) || r.Ratio != 0 || r.TorchStepMS != 0 {
		t.Errorf("row %+v", r)
	}
	var table bytes.Buffer
	if err := rows.Table(&table); err != nil || !strings.Contains(table.String(), "  -") {
		t.Errorf("table: %v\n%s", err, table.String())
	}
}

// The script travels in the program: nothing of the source is looked for.
func TestBesideFromAnywhere(t *testing.T) {
	t.Chdir(t.TempDir())
	rows, err := Run(context.Background(), options(python(t, `echo warning; echo '{"step_ms_median": 1e6}'`)))
	if err != nil || len(rows) != 1 {
		t.Fatalf("%+v, %v", rows, err)
	}
	if r := rows[0]; r.TorchStepMS != 1e6 || !(r.Ratio > 1) || !(r.TorchTokensPerS > 0) {
		t.Errorf("row %+v", r)
	}
}

func TestRefusals(t *testing.T) {
	for answer, want := range map[string]string{
		"echo 'No module named torch' >&2; exit 1": "bench_step.py: exit status 1: No module named torch",
		"echo fast":                    `bench_step.py printed no step_ms_median: "fast\n"`,
		`echo '{"step_ms_median": 0}'`: "printed no step_ms_median",
	} {
		if _, err := Run(context.Background(), options(python(t, answer))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", answer, err, want)
		}
	}
	o := options(python(t, "exit 0"))
	o.Script = filepath.Join(t.TempDir(), "mine.py")
	if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), o.Script+": exit status 1: no "+o.Script) {
		t.Errorf("%v: the script that was asked for is not run", err)
	}
}

// With VGID_PYTHON, a python with torch, the real script is run.
func TestTorch(t *testing.T) {
	o := options(os.Getenv("VGID_PYTHON"))
	if o.Python == "" {
		t.Skip("VGID_PYTHON names no python with torch: PyTorch's side is not run")
	}
	rows, err := Run(context.Background(), o)
	if err != nil || len(rows) != 1 || !(rows[0].Ratio > 0) {
		t.Errorf("%+v, %v", rows, err)
	}
}
