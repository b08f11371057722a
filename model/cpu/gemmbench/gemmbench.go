// Package gemmbench times the matrix multiplication of the CPU backend, on
// request beside OpenBLAS.
package gemmbench

import (
	"context"
	"fmt"
	"io"
	"time"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/kit/measure"
	"vgid/model/kit/measure/bench"
)

// Shape is one multiplication: [m, k]·[k, n], operands stored transposed where
// asked.
type Shape struct {
	M      int  `json:"m"`
	N      int  `json:"n"`
	K      int  `json:"k"`
	TransA bool `json:"trans_a"`
	TransB bool `json:"trans_b"`
}

func (s Shape) String() string {
	return fmt.Sprintf("%d×%d×%d %s%s", s.M, s.N, s.K, letter(s.TransA), letter(s.TransB))
}

// letter is BLAS's name of an operand: N as it is, T transposed.
func letter(transposed bool) string {
	if transposed {
		return "T"
	}
	return "N"
}

// Shapes are squares, and what training and generation with the quickstart
// model and larger ones multiply: projections forward (NT), their input
// gradients (NN) and weight gradients (TN), LoRA branches, few rows.
func Shapes() []Shape {
	return []Shape{
		{256, 256, 256, false, false}, {512, 512, 512, false, false}, {1024, 1024, 1024, false, false},
		{512, 512, 4096, false, true}, {64, 1024, 1024, false, true}, {197, 768, 768, false, true},
		{400, 128, 128, false, true}, {1600, 352, 128, false, true}, {1600, 128, 352, false, true},
		{1600, 128, 352, false, false}, {352, 128, 1600, true, false}, {1600, 400, 128, false, true},
		{512, 4096, 512, false, true}, {4096, 512, 512, true, false},
		{1600, 16, 128, false, true}, {512, 16, 1024, false, true}, {512, 1024, 16, false, true},
		{16, 1024, 512, true, false}, {1024, 16, 512, true, false}, {1024, 8, 512, true, false},
		{50, 50, 32, false, true}, {50, 32, 50, false, false},
		{1, 1024, 1024, false, true}, {8, 1024, 1024, false, true}, {32, 352, 128, false, true},
	}
}

// Options say what to measure. The zero value of Shapes, Threads and Rounds
// means Shapes(), one thread and two, and 5.
type Options struct {
	Shapes   []Shape
	Threads  []int
	Rounds   int           // interleaved repetitions; the median counts
	Time     time.Duration // per shape, round and library; 0 means 30 ms
	OpenBLAS bool
	Progress io.Writer // a line per shape, when given
}

// Row is one measurement; rates are medians over the rounds of the best rate
// within each.
type Row struct {
	Shape
	Threads  int     `json:"threads"`
	GFLOPS   float64 `json:"gflops"`
	OpenBLAS float64 `json:"openblas_gflops,omitempty"`
	// Ratio is the median of the rounds' ratios to OpenBLAS, 0 without it.
	Ratio float64 `json:"ratio,omitempty"`
}

// Report is the result of Run.
type Report struct {
	Backend string `json:"backend"`
	// OpenBLAS is its configuration, or why it was not measured.
	OpenBLAS string `json:"openblas"`
	Rows     []Row  `json:"rows"`
}

// Run measures every shape on every count of threads. When OpenBLAS is asked
// for but cannot be built or run, the report says why and has no ratios.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Shapes == nil {
		o.Shapes = Shapes()
	}
	if o.Threads == nil {
		o.Threads = []int{1, 2}
	}
	if o.Rounds <= 0 {
		o.Rounds = 5
	}
	if o.Time <= 0 {
		o.Time = 150 * time.Millisecond // a sleeping core takes tens of them to join
	}
	r := Report{OpenBLAS: "not asked for"}
	var other *openBLAS
	if o.OpenBLAS {
		var err error
		if other, err = startOpenBLAS(ctx); err != nil {
			r.OpenBLAS = "absent: " + err.Error()
		} else {
			defer other.close()
			r.OpenBLAS = other.config
		}
	}
	for _, threads := range o.Threads {
		be := cpu.New(threads)
		rows, err := shapes(ctx, be, other, threads, o)
		r.Backend = be.Name()
		if cerr := be.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return r, err
		}
		r.Rows = append(r.Rows, rows...)
	}
	return r, nil
}

// shapes measures on one number of threads; the programs take turns in each round, so that a
// machine that slows down slows both.
func shapes(ctx context.Context, be backend.Backend, other *openBLAS, threads int, o Options) ([]Row, error) {
	rate := func(gflops float64) float64 { return gflops }
	var rows []Row
	for _, s := range o.Shapes {
		ours := &bench.Program[float64]{Measure: func(ctx context.Context, _ int) (float64, error) {
			return timeShape(ctx, be, s, o.Time)
		}}
		theirs := &bench.Program[float64]{Name: "openblas", Measure: func(context.Context, int) (float64, error) {
			return other.time(s, threads, o.Time)
		}}
		programs := []*bench.Program[float64]{ours}
		if other != nil {
			programs = append(programs, theirs)
		}
		if err := bench.InTurn(ctx, o.Rounds, programs...); err != nil {
			return rows, fmt.Errorf("gemm %v: %w", s, err)
		}
		row := Row{Shape: s, Threads: threads, GFLOPS: ours.Median(rate), OpenBLAS: theirs.Median(rate), Ratio: ours.Ratio(theirs, rate)}
		if o.Progress != nil {
			fmt.Fprintf(o.Progress, "%-22v %d threads  %6.1f GFLOP/s", s, threads, row.GFLOPS)
			if other != nil {
				fmt.Fprintf(o.Progress, "  openblas %6.1f  ratio %.2f", row.OpenBLAS, row.Ratio)
			}
			fmt.Fprintln(o.Progress)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// timeShape returns the best rate, in GFLOP/s, of bursts of 3 ms within d.
func timeShape(ctx context.Context, be backend.Backend, s Shape, d time.Duration) (float64, error) {
	// The three stay the same, and where they fit into a cache, in it: what is measured is the
	// product.
	a, err := matrix(be, s.M, s.K, s.TransA)
	if err != nil {
		return 0, err
	}
	defer be.Free(a.Buf)
	b, err := matrix(be, s.K, s.N, s.TransB)
	if err != nil {
		return 0, err
	}
	defer be.Free(b.Buf)
	c, err := matrix(be, s.M, s.N, false)
	if err != nil {
		return 0, err
	}
	defer be.Free(c.Buf)
	p := backend.MatMul{TransA: s.TransA, TransB: s.TransB, Alpha: 1}
	threads := be.Device().(*cpu.Device).Threads()
	best, begin := 0.0, time.Now()
	for round := 0; round < 3 || time.Since(begin) < d; round++ {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		calls, t, before := 0, time.Now(), measure.Clock(threads)
		for calls == 0 || time.Since(t) < 3*time.Millisecond {
			be.MatMul(c, a, b, p)
			calls++
		}
		spent := measure.Clock(threads) - before
		// A product is M·N·K multiplications and as many additions.
		rate := 2 * float64(s.M) * float64(s.N) * float64(s.K) * float64(calls) / spent.Seconds() * 1e-9
		best = max(best, rate)
	}
	return best, be.Sync()
}

// Values are small and not all alike; their sum over K stays far from overflow.
func matrix(be backend.Backend, rows, cols int, transposed bool) (backend.Tensor, error) {
	if transposed {
		rows, cols = cols, rows
	}
	buf, err := be.Alloc(backend.F32, rows*cols)
	if err != nil {
		return backend.Tensor{}, err
	}
	t := backend.View(buf, 0, rows, cols)
	x := make([]float32, rows*cols)
	for i := range x {
		x[i] = float32(i%17)/17 - 0.5
	}
	be.Upload(t, x)
	return t, nil
}

// Table writes the report for people.
func (r Report) Table(to io.Writer) error {
	var t bench.Table
	t.Titlef("%s\nOpenBLAS: %s\n\n", r.Backend, r.OpenBLAS)
	t.Rowf("m×n×k\tops\tthreads\tGFLOP/s\tOpenBLAS\tratio")
	for _, row := range r.Rows {
		other := "-\t-"
		if row.Ratio > 0 {
			other = fmt.Sprintf("%.1f\t%.2f", row.OpenBLAS, row.Ratio)
		}
		t.Rowf("%d×%d×%d\t%s%s\t%d\t%.1f\t%s", row.M, row.N, row.K, letter(row.TransA), letter(row.TransB), row.Threads, row.GFLOPS, other)
	}
	return t.Write(to)
}
