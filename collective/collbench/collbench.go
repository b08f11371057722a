// Package collbench measures all-reduce between real processes of this machine
// over the gRPC transport, and reports time, latency and bandwidth as
// nccl-tests define them.
package collbench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"vgid/model/kit/bytesize"
	"vgid/model/kit/measure/bench"
)

// Options say what to measure. The zero value measures 2 and 4 processes with
// 4 KiB … 64 MiB.
type Options struct {
	Procs []int // numbers of processes
	Sizes []int // bytes of float32 values, each a multiple of 4
	// Transports are names of Transports; none: the first.
	Transports []string
	// PerSize is about how long one size is measured; 0: 2 s.
	PerSize time.Duration
}

// Transports are what can be measured: gRPC over loopback TCP, by the endpoint of our own
// and by grpc-go.
var Transports = []string{"grpc", "grpc-stock"}

// Result is what Run measured.
type Result struct {
	Rows   []Row   `json:"rows"`
	Starts []Start `json:"starts"`
}

// Start is how a number of processes began.
type Start struct {
	Transport string `json:"transport"`
	Procs     int    `json:"procs"`
	// Seconds from the start of the first process until all have connected and met in
	// a barrier; the processes themselves, one after another, are in it.
	Seconds     float64 `json:"seconds"`
	Connections int     `json:"connections"` // of the rank with the most, at the end
}

// Row is one number of processes and one size. Times are of the slowest rank,
// in seconds; bandwidths in bytes per second.
type Row struct {
	Transport string  `json:"transport"`
	Procs     int     `json:"procs"`
	Bytes     int     `json:"bytes"`
	Rounds    int     `json:"rounds"`
	P50       float64 `json:"p50_seconds"`
	P99       float64 `json:"p99_seconds"`
	// AlgBW is Bytes/P50; BusBW is AlgBW·2(n-1)/n, which does not depend on the
	// number of ranks when the links are the limit (nccl-tests,
	// doc/PERFORMANCE.md).
	AlgBW float64 `json:"algbw"`
	BusBW float64 `json:"busbw"`
	// CPUPerByte is processor time of all ranks, in nanoseconds, per byte that
	// a ring puts on the wire, 2(n-1)·Bytes in all.
	CPUPerByte float64 `json:"cpu_ns_per_wire_byte"`
}

// Run starts processes of the running program, which must call WorkerMain
// first thing, for every number of processes in turn, and for each with every transport.
// An error names the rank whose process failed, with what it wrote to standard error.
func Run(ctx context.Context, opt Options) (Result, error) {
	if len(opt.Procs) == 0 {
		opt.Procs = []int{2, 4}
	}
	if len(opt.Sizes) == 0 {
		opt.Sizes = []int{4 << 10, 64 << 10, 1 << 20, 16 << 20, 64 << 20}
	}
	if len(opt.Transports) == 0 {
		opt.Transports = Transports[:1]
	}
	if opt.PerSize == 0 {
		opt.PerSize = 2 * time.Second
	}
	for _, n := range opt.Procs {
		if n < 2 || n > 256 {
			return Result{}, fmt.Errorf("bench collective: %d processes asked for, want 2 … 256", n)
		}
	}
	for _, s := range opt.Sizes {
		if s < 4 || s%4 != 0 {
			return Result{}, fmt.Errorf("bench collective: size %d is not a positive multiple of 4 bytes", s)
		}
	}
	for _, t := range opt.Transports {
		if !slices.Contains(Transports, t) {
			return Result{}, fmt.Errorf("bench collective: transport %q is none of %s", t, strings.Join(Transports, ", "))
		}
	}
	var res Result
	for _, n := range opt.Procs {
		for _, transport := range opt.Transports {
			rows, start, err := runWorld(ctx, n, transport, opt)
			if err != nil {
				return Result{}, err
			}
			for i := range rows {
				rows[i].Transport = transport
			}
			start.Transport = transport
			res.Rows, res.Starts = append(res.Rows, rows...), append(res.Starts, start)
		}
	}
	return res, nil
}

// runWorld measures all sizes with n processes.
// The processes end with the context, and all have ended when it returns.
func runWorld(ctx context.Context, n int, transport string, opt Options) (rows []Row, start Start, err error) {
	job := jobSpec{Begin: time.Now(), Transport: transport, Token: rand.Text(), Sizes: opt.Sizes, PerSize: opt.PerSize}
	// Workers inherit their listeners, so no port can be taken in between.
	files := make([]*os.File, n)
	defer func() {
		for _, f := range files {
			if f != nil {
				f.Close()
			}
		}
	}()
	for r := range n {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, Start{}, fmt.Errorf("bench collective: %w", err)
		}
		job.Peers = append(job.Peers, l.Addr().String())
		files[r], err = l.(*net.TCPListener).File()
		if err = errors.Join(err, l.Close()); err != nil {
			return nil, Start{}, fmt.Errorf("bench collective: %w", err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a failed rank takes the others along
	outs := make([]bytes.Buffer, n)
	logs := make([]bytes.Buffer, n)
	ends := make(chan error, n)
	started := 0
	for r := range n {
		job.Rank = r
		cmd, err := worker.Command(ctx, job)
		if err != nil {
			return nil, Start{}, fmt.Errorf("bench collective: %w", err)
		}
		cmd.ExtraFiles = []*os.File{files[r]}
		cmd.Stdout, cmd.Stderr = &outs[r], &logs[r]
		cmd.WaitDelay = 5 * time.Second
		if err := cmd.Start(); err != nil {
			cancel()
			for range started {
				<-ends //nolint:errcheck // they were ended here
			}
			return nil, Start{}, fmt.Errorf("bench collective: start rank %d: %w", r, err)
		}
		started++
		go func() {
			err := cmd.Wait()
			if err != nil {
				cancel()
				err = fmt.Errorf("bench collective: rank %d of %d: %w: %s", r, n, err, strings.TrimSpace(logs[r].String()))
			}
			ends <- err
		}()
	}
	for range n {
		if e := <-ends; err == nil {
			err = e
		}
	}
	if err != nil {
		return nil, Start{}, err
	}
	return parse(n, outs)
}

// parse merges what the ranks printed: the slowest rank of every round counts.
func parse(n int, outs []bytes.Buffer) ([]Row, Start, error) {
	all, start := make([]report, len(outs)), Start{Procs: n}
	for r := range outs {
		if err := json.Unmarshal(outs[r].Bytes(), &all[r]); err != nil {
			return nil, Start{}, fmt.Errorf("bench collective: output of rank %d: %w", r, err)
		}
		if len(all[r].Samples) != len(all[0].Samples) {
			return nil, Start{}, fmt.Errorf("bench collective: rank %d measured %d sizes, rank 0 %d", r, len(all[r].Samples), len(all[0].Samples))
		}
		start.Seconds, start.Connections = max(start.Seconds, all[r].Started.Seconds()), max(start.Connections, all[r].Connections)
	}
	var rows []Row
	for i, s := range all[0].Samples {
		slowest := slices.Clone(s.Seconds)
		cpu := 0.0
		for r := range all {
			of := all[r].Samples[i]
			if len(of.Seconds) != len(slowest) {
				return nil, Start{}, fmt.Errorf("bench collective: rank %d measured %d rounds, rank 0 %d", r, len(of.Seconds), len(slowest))
			}
			cpu += of.CPU
			for k, t := range of.Seconds {
				slowest[k] = max(slowest[k], t)
			}
		}
		rows = append(rows, row(n, s.Bytes, slowest, cpu))
	}
	return rows, start, nil
}

// row computes the figures of one size from the rounds' times. The median is what
// a training step usually waits; the 99th percentile what it sometimes does.
func row(n, size int, seconds []float64, cpu float64) Row {
	slices.Sort(seconds)
	rank := func(q float64) float64 { return seconds[min(len(seconds)-1, int(q*float64(len(seconds))))] }
	p50 := rank(0.5)
	alg := float64(size) / p50
	// What a ring all-reduce sends: each rank 2(n-1)/n of the data, n ranks together.
	wire := 2 * float64(n-1) * float64(size) * float64(len(seconds))
	return Row{Procs: n, Bytes: size, Rounds: len(seconds), P50: p50, P99: rank(0.99),
		AlgBW: alg, BusBW: alg * 2 * float64(n-1) / float64(n), CPUPerByte: cpu * 1e9 / wire}
}

// Table prints the result for people.
func (r Result) Table(to io.Writer) error {
	t := bench.Table{Right: true}
	t.Titlef("all-reduce (f32 sum) over loopback\n")
	t.Rowf("transport\tprocs\tsize\trounds\tp50\tp99\talgbw GB/s\tbusbw GB/s\tCPU ns/B")
	for _, x := range r.Rows {
		t.Rowf("%s\t%d\t%s\t%d\t%s\t%s\t%.2f\t%.2f\t%.2f", x.Transport, x.Procs, sizeText(x.Bytes), x.Rounds,
			timeText(x.P50), timeText(x.P99), x.AlgBW/1e9, x.BusBW/1e9, x.CPUPerByte)
	}
	if err := t.Write(to); err != nil {
		return err
	}
	for _, s := range r.Starts {
		if _, err := fmt.Fprintf(to, "%s: %d processes had met after %.2f s; connections of a rank: at most %d\n", s.Transport, s.Procs, s.Seconds, s.Connections); err != nil {
			return err
		}
	}
	return nil
}

// sizeText leaves the decimal of whole units out.
func sizeText(n int) string { return strings.Replace(bytesize.Binary(n).String(), ".0 ", " ", 1) }

// timeText has microseconds below a millisecond, as latencies of small sizes are.
func timeText(s float64) string {
	if s < 1e-3 {
		return fmt.Sprintf("%.0f µs", s*1e6)
	}
	return fmt.Sprintf("%.2f ms", s*1e3)
}
