package collbench

import (
	"context"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if ran, err := WorkerMain(); ran {
		if err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestRunMeasuresRealProcesses(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	r, err := Run(ctx, Options{Procs: []int{2, 3}, Sizes: []int{4096, 1 << 20}, Transports: Transports, PerSize: 15 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 8 || len(r.Starts) != 4 {
		t.Fatalf("%d rows and %d starts, want 8 and 4", len(r.Rows), len(r.Starts))
	}
	for _, x := range r.Rows {
		if x.Rounds < 5 || x.P50 <= 0 || x.P99 < x.P50 {
			t.Errorf("%+v", x)
		}
	}
	for i, s := range r.Starts {
		if n := i/2 + 2; s.Transport != Transports[i%2] || s.Procs != n || s.Seconds <= 0 || s.Connections != n-1 {
			t.Errorf("%+v", s)
		}
	}
	var text strings.Builder
	if err := r.Table(&text); err != nil {
		t.Fatal(err)
	}
	table := text.String()
	for _, w := range []string{"4 KiB", "1 MiB", "busbw", "grpc-stock", "3 processes had met after", "at most 2\n"} {
		if !strings.Contains(table, w) {
			t.Errorf("table lacks %q:\n%s", w, table)
		}
	}
}

func TestRowFollowsNCCLTests(t *testing.T) {
	r := row(4, 1000, []float64{3, 1, 2}, 6e-6)
	if r.P50 != 2 || r.P99 != 3 || r.AlgBW != 500 || r.BusBW != 750 {
		t.Errorf("%+v", r)
	}
	if want := 6e-6 * 1e9 / (2 * 3 * 1000 * 3); math.Abs(r.CPUPerByte-want) > 1e-12 {
		t.Errorf("CPU %v ns/B, want %v", r.CPUPerByte, want)
	}
}

func TestRunRefusesNonsense(t *testing.T) {
	for _, o := range []Options{{Procs: []int{1}}, {Sizes: []int{6}}, {Transports: []string{"udp"}}} {
		if _, err := Run(context.Background(), o); err == nil {
			t.Errorf("%+v passes", o)
		}
	}
}
