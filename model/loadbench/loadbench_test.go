package loadbench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"vgid/model"
	"vgid/model/hf"
	"vgid/model/kit/hftest"
)

func TestMain(m *testing.M) {
	if ran, err := WorkerMain(); ran {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// checkpoint writes a small model in several files.
func checkpoint(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("memory of processes is measured on Linux only")
	}
	c, err := model.ReadConfig("../testdata/golden/llava_mha")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := model.WriteRandom(context.Background(), dir, c, 1, model.SaveOptions{DType: "bfloat16", MaxShardBytes: 20 << 10}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAlone(t *testing.T) {
	dir := checkpoint(t)
	emptiable(t, dir)
	r, err := Run(context.Background(), Options{Dir: dir, Rounds: 1, Cold: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range r.Rows {
		got = append(got, row.Cache+" "+row.Step)
		if !(row.Seconds > 0 && row.Process >= row.Seconds && row.Own > 0 && row.Before > 0 && row.Peak >= row.Before && row.Ratio == 0) {
			t.Errorf("row %+v", row)
		}
	}
	if want := []string{"warm load", "warm read", "cold load", "cold read"}; !slices.Equal(got, want) || r.Equal || r.Files < 2 || r.Bytes < 20<<10 {
		t.Errorf("rows %q, report %+v", got, r)
	}
}

// fake is a program that answers as the script does, whatever it is asked.
func fake(t *testing.T, answer string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+answer+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return program
}

func TestBeside(t *testing.T) {
	dir := checkpoint(t)
	own, err := job{Dir: dir, Read: true}.do(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	answer := `echo '{"program":"none 0","seconds":1000,"peak":9000000,"before":1,"own":1,"tensors":%d,"bytes":%d,"sum":%d}'`
	o := Options{Dir: dir, Rounds: 1, Python: fake(t, fmt.Sprintf(answer, own.Tensors, own.Bytes, own.Sum))}
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if (row.Ratio > 1) != (row.Program[:4] != ours) {
			t.Errorf("row %+v", row)
		}
	}
	var table bytes.Buffer
	if err := r.Table(&table); err != nil || len(r.Rows) != 8 || !strings.Contains(table.String(), "none 0: the same bytes") {
		t.Errorf("table: %v\n%s", err, table.String())
	}

	o.Python = fake(t, fmt.Sprintf(answer, own.Tensors, own.Bytes, own.Sum+1))
	_, err = Run(context.Background(), o)
	hftest.WantError(t, err, "safe_open read ")
	o.Python = fake(t, "echo 'No module named torch' >&2; exit 1")
	_, err = Run(context.Background(), o)
	hftest.WantError(t, err, "safe_open: exit status 1: No module named torch")
	o.Python = fake(t, "echo hello")
	_, err = Run(context.Background(), o)
	hftest.WantError(t, err, "printed no seconds")
	_, err = Run(context.Background(), Options{Dir: t.TempDir(), Rounds: 1})
	hftest.WantError(t, err, "neither model.safetensors nor")
}

func TestWordSum(t *testing.T) {
	b := make([]byte, 100)
	for i := range b {
		b[i] = byte(201 * i)
	}
	for n := range b {
		want := uint64(0)
		for i := 0; i < n; i++ {
			if i < n/8*8 {
				if i%8 == 0 {
					want += binary.LittleEndian.Uint64(b[i:])
				}
			} else {
				want += uint64(b[i])
			}
		}
		if got := wordSum(b[:n]); got != want {
			t.Errorf("%d bytes: %x, want %x", n, got, want)
		}
	}
}

// What a program has mapped does not leave the cache, and is not called cold.
func TestDrop(t *testing.T) {
	dir := checkpoint(t)
	files := emptiable(t, dir)
	w, err := hf.OpenWeights(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, name := range w.Names() {
		b, err := w.Raw(name)
		if err != nil {
			t.Fatal(err)
		}
		wordSum(b)
	}
	hftest.WantError(t, prepare(context.Background(), "cold", files), "stay in the page cache")
}

// emptiable are the weight files of dir, if the file system lets them leave the
// page cache.
func emptiable(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	stayed, err := drop(files)
	if err != nil {
		t.Fatal(err)
	}
	if stayed > 0 {
		t.Skipf("this file system keeps %.0f %% of its files in memory", 100*stayed)
	}
	return files
}

// With VGID_PYTHON, a python with safetensors and torch, the real script is run.
func TestLibrary(t *testing.T) {
	o := Options{Dir: checkpoint(t), Rounds: 1}
	if o.Python = os.Getenv("VGID_PYTHON"); o.Python == "" {
		t.Skip("VGID_PYTHON names no python with safetensors and torch: safetensors' side is not run")
	}
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Equal || len(r.Rows) != 8 || !strings.HasPrefix(r.Reference, "safetensors ") {
		t.Errorf("report %+v", r)
	}
}
