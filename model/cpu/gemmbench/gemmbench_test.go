package gemmbench

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	// GEMMBENCH=full measures everything and prints the table.
	o := Options{Shapes: Shapes()[:1], Threads: []int{1, 2}, Rounds: 1, Time: time.Millisecond, OpenBLAS: true}
	if os.Getenv("GEMMBENCH") == "full" {
		o = Options{OpenBLAS: true, Progress: os.Stderr}
	}
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if !(row.GFLOPS > 0) {
			t.Errorf("%v on %d threads: rate %v", row.Shape, row.Threads, row.GFLOPS)
		}
		if strings.HasPrefix(r.OpenBLAS, "absent") == (row.Ratio > 0) {
			t.Errorf("%v: ratio %v with OpenBLAS %q", row.Shape, row.Ratio, r.OpenBLAS)
		}
	}
	var table bytes.Buffer
	if err := r.Table(&table); err != nil || !strings.Contains(table.String(), "256×256×256") {
		t.Errorf("table: %v\n%s", err, table.String())
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	if strings.HasPrefix(r.OpenBLAS, "absent") {
		t.Skipf("OpenBLAS not compared: %s", r.OpenBLAS)
	}
}

func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, Options{Shapes: Shapes()[:1]}); err == nil {
		t.Error("a cancelled run succeeded")
	}
}
