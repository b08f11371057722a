package collbench

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"vgid/collective"
	"vgid/collective/wire"
	"vgid/model/kit/measure"
	"vgid/model/kit/measure/bench"
)

// worker is a rank.
var worker = bench.Worker[jobSpec, report]{Variable: "VGID_COLLBENCH", Do: work}

// jobSpec is what a worker process is told, in its environment: its token must
// not show in the list of processes.
type jobSpec struct {
	Rank      int           `json:"rank"`
	Peers     []string      `json:"peers"`
	Token     string        `json:"token"`
	Sizes     []int         `json:"sizes"`
	PerSize   time.Duration `json:"per_size"`
	Transport string        `json:"transport"`
	Begin     time.Time     `json:"begin"` // when the first process was started
}

// report is what one rank has to say.
type report struct {
	Started     time.Duration `json:"started"`     // since Begin, until all ranks had met
	Connections int           `json:"connections"` // to other ranks, at the end
	Samples     []sample      `json:"samples"`
}

// sample is what one rank measured of one size.
// Seconds has a round each, the same rounds on all ranks, so that they can be compared one
// by one.
type sample struct {
	Bytes   int       `json:"bytes"`
	Seconds []float64 `json:"seconds"` // per round
	CPU     float64   `json:"cpu"`     // seconds of processor time in all rounds
}

// WorkerMain does a worker's part when Run started this process, and says that
// it did; main then ends with err.
func WorkerMain() (ran bool, err error) { return worker.Main() }

// work is the main function of a worker.
func work(ctx context.Context, job jobSpec) (out report, err error) {
	// As vgid-launch gives a machine's cores to its workers.
	runtime.GOMAXPROCS(max(1, runtime.NumCPU()/len(job.Peers)))
	// The first of ExtraFiles: 0, 1 and 2 are the standard streams.
	f := os.NewFile(3, "listener")
	l, err := net.FileListener(f)
	f.Close()
	if err != nil {
		return report{}, fmt.Errorf("inherited listener: %w", err)
	}
	t, err := wire.Connect(ctx, wire.Config{Job: "bench", Token: job.Token, Rank: job.Rank, Peers: job.Peers, Listener: l,
		Stock: job.Transport == "grpc-stock"})
	if err != nil {
		return report{}, err
	}
	c, err := collective.New(t, collective.Options{Job: "bench"})
	if err != nil {
		return report{}, err
	}
	defer c.Close()
	if err := c.Barrier(ctx); err != nil {
		return report{}, err
	}
	out.Started = time.Since(job.Begin)
	for _, size := range job.Sizes {
		s, err := timeRounds(ctx, c, size, job.PerSize)
		if err != nil {
			return report{}, err
		}
		out.Samples = append(out.Samples, s)
	}
	out.Connections = c.Stats().Connections
	return out, nil
}

// timeRounds times rounds of one size. All ranks have the same whole numbers, so
// the sum is known exactly and every round is checked: a fast one that is wrong
// must not be reported.
func timeRounds(ctx context.Context, c *collective.Comm, size int, span time.Duration) (sample, error) {
	v := make([]float32, size/4)
	for i := range v {
		v[i] = float32(i % 1024)
	}
	const warm = 3 // the first rounds fill pools of buffers
	rounds := 0
	for k := range warm {
		begin := time.Now()
		if err := c.AllReduce(ctx, collective.F32(v), collective.Avg); err != nil {
			return sample{}, err
		}
		if k == warm-1 { // the ranks agree on the number of rounds
			// By the last of the rounds that warm up, and the slowest rank's number: all must run as
			// many, or the last ones would wait for ranks that are gone.
			guess := []int64{int64(span/(time.Since(begin)+1)) + 1}
			if err := c.AllReduce(ctx, collective.I64(guess), collective.Min); err != nil {
				return sample{}, err
			}
			// At least 5, or there is no percentile; at most 20 000, or small sizes take memory.
			rounds = int(min(max(guess[0], 5), 20_000))
		}
	}
	s := sample{Bytes: size, Seconds: make([]float64, rounds)}
	for k := range rounds {
		// The checking below takes each rank another time; a round counts from when
		// all have come.
		if err := c.Barrier(ctx); err != nil {
			return sample{}, err
		}
		// Of the whole process: the transport's goroutines work beside this one.
		cpu := measure.CPU()
		begin := time.Now()
		if err := c.AllReduce(ctx, collective.F32(v), collective.Sum); err != nil {
			return sample{}, err
		}
		s.Seconds[k] = time.Since(begin).Seconds()
		s.CPU += (measure.CPU() - cpu).Seconds()
		for i := range v {
			if v[i] != float32(c.Size()*(i%1024)) {
				return sample{}, fmt.Errorf("round %d of %d bytes: element %d is %v, want %d", k, size, i, v[i], c.Size()*(i%1024))
			}
			v[i] = float32(i % 1024)
		}
	}
	return s, nil
}
