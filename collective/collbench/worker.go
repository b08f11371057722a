package collbench

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"vgid/collective"
	"vgid/collective/mtls"
	"vgid/collective/wire"
	"vgid/model/kit/measure"
	"vgid/model/kit/measure/bench"
)

// worker is a rank of ours. Its result is what it answers while it lives, so at its end there is none.
var worker = bench.Worker[jobSpec, struct{}]{Variable: "VGID_COLLBENCH", Do: work}

// jobSpec is what a worker process is told, in its environment: its token must
// not show in the list of processes.
type jobSpec struct {
	Rank  int      `json:"rank"`
	Peers []string `json:"peers"`
	Token string   `json:"token"`
	Way   way      `json:"way"`
	// CA, Cert and Key are PEM, for all ranks alike; nil: plain text.
	CA   []byte `json:"ca,omitempty"`
	Cert []byte `json:"cert,omitempty"`
	Key  []byte `json:"key,omitempty"`
}

// secure gives the ranks a certificate where their way is over TLS.
func (j *jobSpec) secure() error {
	if !strings.HasSuffix(j.Way.Transport, overTLS) {
		return nil
	}
	a, err := mtls.NewAuthority("bench", 24*time.Hour)
	if err != nil {
		return err
	}
	j.CA = a.Certificate()
	j.Cert, j.Key, err = a.Issue(mtls.Grant{Name: "bench"})
	return err
}

// identity is that of a rank; nil: it has none.
func (j *jobSpec) identity() (*mtls.Identity, error) {
	if j.CA == nil {
		return nil, nil
	}
	return mtls.New(mtls.Part{Name: "CA", PEM: j.CA}, mtls.Part{Name: "certificate", PEM: j.Cert}, mtls.Part{Name: "key", PEM: j.Key})
}

// WorkerMain does a worker's part when Run started this process, and says that
// it did; main then ends with err.
func WorkerMain() (ran bool, err error) { return worker.Main() }

// work is the main function of a worker.
func work(ctx context.Context, job jobSpec) (_ struct{}, err error) {
	// As vgid-launch gives a machine's cores to its workers.
	runtime.GOMAXPROCS(max(1, runtime.NumCPU()/len(job.Peers)))
	// The first of ExtraFiles: 0, 1 and 2 are the standard streams.
	f := os.NewFile(3, "listener")
	l, err := net.FileListener(f)
	f.Close()
	if err != nil {
		return struct{}{}, fmt.Errorf("inherited listener: %w", err)
	}
	id, err := job.identity()
	if err != nil {
		return struct{}{}, err
	}
	t, err := wire.Connect(ctx, wire.Config{Job: "bench", Token: job.Token, Rank: job.Rank, Peers: job.Peers, Listener: l,
		TLS: id, Stock: strings.HasPrefix(job.Way.Transport, "grpc-stock"),
		Memory: job.Way.Transport == "auto" || job.Way.Transport == "shm"})
	if err != nil {
		return struct{}{}, err
	}
	c, err := collective.New(t, collective.Options{Job: "bench", Algorithm: collective.Algorithm(job.Way.Algorithm)})
	if err != nil {
		return struct{}{}, err
	}
	defer c.Close()
	if err := c.Barrier(ctx); err != nil {
		return struct{}{}, err
	}
	r := rank{comm: c, way: job.Way}
	return struct{}{}, bench.Answer(os.Stdin, os.Stdout, hello{}, func(words []string) (any, error) {
		t, err := parseTask(words)
		if err != nil {
			return nil, err
		}
		return r.measure(ctx, t)
	})
}

// rank is a rank of ours that does tasks.
// Its buffers stay from one turn to the next, as those of a program that trains do.
type rank struct {
	comm    *collective.Comm
	way     way
	buffers task // that the buffers are for
	shape   shape
	in, out []byte
}

// prepare makes the buffers of a task, unless they are there.
func (r *rank) prepare(t task) {
	key := task{Call: t.Call, DType: t.DType, Count: t.Count}
	if r.in != nil && r.buffers == key {
		return
	}
	r.buffers, r.in, r.out = key, nil, nil
	runtime.GC() // or the memory of the task before stays beside that of this one
	r.shape = t.Call.shape(t.Count, r.comm.Rank(), r.comm.Size())
	r.in = aligned(r.shape.in * t.DType.Size())
	r.out = r.in
	if !t.Call.inPlace() {
		r.out = aligned(r.shape.out * t.DType.Size())
	}
}

// measure does a task.
func (r *rank) measure(ctx context.Context, t task) (a answer, err error) {
	r.prepare(t)
	in, out := collective.Raw(t.DType, r.in), collective.Raw(t.DType, r.out)
	if t.Check {
		if err := r.check(ctx, t, in, out); err != nil {
			return answer{Error: err.Error()}, nil
		}
	}
	a.Seconds = make([]float64, 0, t.Rounds)
	for k := range t.Warm + t.Rounds {
		// A round counts from when all have come.
		if err := r.comm.Barrier(ctx); err != nil {
			return a, err
		}
		// Of the whole process: the transport's goroutines work beside this one.
		cpu := measure.CPU()
		begin := time.Now()
		if err := t.Call.do(ctx, r.comm, r.shape, in, out); err != nil {
			return a, err
		}
		took := time.Since(begin).Seconds()
		if k >= t.Warm {
			a.Seconds = append(a.Seconds, took)
			a.CPU += (measure.CPU() - cpu).Seconds()
		}
	}
	a.Algorithm = r.comm.LastAlgorithm()
	stats := r.comm.Stats()
	a.Connections, a.Shared, a.Peak = stats.Connections, stats.SharedMemory, measure.PeakMemory()
	if r.way.Transport == "shm" && a.Shared < a.Connections {
		a.Error = fmt.Sprintf("%d of %d connections go through shared memory: this machine does not let all ranks share it", a.Shared, a.Connections)
	}
	return a, nil
}

// check makes the call once with values that are known: a fast call that is wrong must not
// be reported.
func (r *rank) check(ctx context.Context, t task, in, out collective.Buf) error {
	n := r.comm.Size()
	for i := range r.out {
		r.out[i] = 0xa5 // what is not written shows
	}
	fill(r.in, t.DType, r.comm.Rank(), n, 0)
	if err := t.Call.do(ctx, r.comm, r.shape, in, out); err != nil {
		return err
	}
	if err := check(r.out, t.DType, r.shape.comesOut, n); err != nil {
		return fmt.Errorf("%s of %d elements gives a wrong result: %w", t.Call.name, t.Count, err)
	}
	if t.Call.kind == allReduce {
		clear(r.in) // sums of sums would not stay finite; those of zeros take as long
	}
	return nil
}

// aligned is memory that may be seen as any type.
func aligned(size int) []byte {
	words := make([]uint64, size/8+1)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), size)
}

// parseTask reads the words of a task.
func parseTask(words []string) (t task, err error) {
	if len(words) != taskWords {
		return t, fmt.Errorf("a task of %d words, want %d", len(words), taskWords)
	}
	if t.Call, err = callNamed(words[0]); err != nil {
		return t, err
	}
	if t.DType, err = dtypeNamed(words[1]); err != nil {
		return t, err
	}
	var check int
	for i, n := range []*int{&t.Count, &t.Warm, &t.Rounds, &check} {
		if *n, err = strconv.Atoi(words[2+i]); err != nil {
			return t, err
		}
	}
	t.Check = check == 1
	return t, nil
}
