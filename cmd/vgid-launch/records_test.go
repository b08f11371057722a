package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/collective/flight"
)

// leave writes a record as a worker does.
func leave(t *testing.T, dir string, r flight.Record) {
	t.Helper()
	b, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, flight.Name(r.Rank)), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsAreMerged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs [1]*")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	keep := filepath.Join(dir, "rank0.log")
	if err := os.WriteFile(keep, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	leave(t, dir, flight.Record{Job: "before", World: 9, Rank: 8}) // of an earlier job
	r, err := newRecords(dir)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := r.merge(); line != "" || err != nil {
		t.Errorf("nothing left: %q, error %v", line, err)
	}
	for rank := range 2 {
		leave(t, dir, flight.Record{Job: "j", World: 3, Rank: rank})
	}
	if err := os.WriteFile(filepath.Join(dir, flight.Name(2)), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	line, err := r.merge()
	path := filepath.Join(dir, merged)
	if want := "no rank was in a call; no record of rank 2 here (its last calls: vgid-launch explain '" + path + "')"; line != want {
		t.Errorf("%q, want %q", line, want)
	}
	if err == nil || !strings.Contains(err.Error(), flight.Name(2)) {
		t.Errorf("of the damaged record: %v", err)
	}
	if all, err := flight.Read(path); err != nil || len(all) != 2 {
		t.Errorf("the merged file has %d records, error %v", len(all), err)
	}
	if err := newApp(nil).Run([]string{"vgid-launch", "explain", path}); err != nil {
		t.Error(err)
	}
	if err := r.remove(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "rank0.log" {
		t.Errorf("left: %v, error %v", left, err)
	}
}

// Without a folder for logs there is one for temporary files, once it is needed.
func TestRecordsWithoutLogs(t *testing.T) {
	a, err := newRecords("")
	if err != nil {
		t.Fatal(err)
	}
	b, err := newRecords("")
	if err != nil || a.dir == b.dir || !filepath.IsAbs(a.dir) {
		t.Errorf("%q and %q, error %v", a.dir, b.dir, err)
	}
	if _, err := os.Stat(a.dir); !os.IsNotExist(err) {
		t.Errorf("%s is there already: %v", a.dir, err)
	}
}

func TestExplainRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"explain: no file given": {},
		"no record of calls":     {os.DevNull},
	} {
		if err := newApp(nil).Run(append([]string{"vgid-launch", "explain"}, args...)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %q", args, err, want)
		}
	}
}
