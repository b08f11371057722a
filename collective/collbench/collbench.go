// Package collbench measures collectives between real processes of this machine,
// beside other programs that do the same, and reports time, latency and bandwidth
// as nccl-tests define them.
//
// Begin reading at Run. A world is the processes of one program, ours by one
// transport or a peer's; all worlds of a number of processes live at the same time,
// and are given tasks in turn.
package collbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vgid/collective"
	"vgid/collective/netlab"
	"vgid/model/kit/measure/bench"
)

// Options say what to measure. The zero value measures all-reduce of float32 among 2 and
// 4 processes with 4 KiB … 256 MiB, by the first of Transports alone.
//
// A process holds the buffer of the largest size, in calls that are not in place two of them, and what its
// program needs beside; the processes of all programs of a number of processes live at the same time.
type Options struct {
	Procs []int // numbers of processes
	// Sizes are bytes of the longest buffer of a rank; where it is cut into equal parts,
	// less is taken until it can be.
	Sizes []int
	// Calls are names of Calls; none: all-reduce.
	Calls []string
	DType string // element type; empty: f32
	// Transports are names of Transports; none: the first.
	Transports []string
	// Algorithms are names of Algorithms; none: the first.
	Algorithms []string
	// Peers are names of Peers that are measured in turn with ours.
	Peers  []string
	Python string // for Gloo: an interpreter that has PyTorch
	Rounds int    // of all programs in turn; 0: 5
	// PerSize is about how long a program is measured in all rounds of a size; 0: 2 s. It is
	// longer where calls are, of which a round has at least three.
	PerSize time.Duration
	// Network, if not nil, is what the processes speak over in place of the loopback; its number of nodes is that
	// of the processes. Peers are not measured there.
	Network *netlab.Spec
}

// Transports are what can be measured: what a job has by default; shared memory and
// nothing else; gRPC over loopback TCP, by the endpoint of our own and by grpc-go, in plain
// text and over mutual TLS.
var Transports = []string{"auto", "shm", "grpc", "grpc-stock", "grpc" + overTLS, "grpc-stock" + overTLS}

// overTLS ends the names of transports whose ranks have certificates.
const overTLS = "-tls"

// Algorithms are what calls can be held to; rows tell what came of it.
var Algorithms = algorithmNames()

func algorithmNames() (names []string) {
	for _, a := range collective.Algorithms {
		names = append(names, string(a))
	}
	return names
}

// Calls are the names of all collectives that can be measured.
func Calls() (names []string) {
	for _, c := range calls {
		names = append(names, c.name)
	}
	return names
}

// plan is Options with what was left open, in the bench's own terms.
type plan struct {
	Options
	calls []call
	dtype collective.DType
}

// plan checks what is asked for.
func (o Options) plan() (p plan, err error) {
	p.Options = o
	orElse(&p.Procs, 2, 4)
	orElse(&p.Sizes, 4<<10, 1<<20, 16<<20, 64<<20, 256<<20)
	orElse(&p.Calls, calls[0].name)
	orElse(&p.Transports, Transports[0])
	orElse(&p.Algorithms, Algorithms[0])
	if p.DType == "" {
		p.DType = "f32"
	}
	if p.PerSize == 0 {
		p.PerSize = 2 * time.Second
	}
	if p.Rounds == 0 {
		p.Rounds = 5
	}
	if p.dtype, err = dtypeNamed(p.DType); err != nil {
		return p, err
	}
	for _, name := range p.Calls {
		c, err := callNamed(name)
		if err != nil {
			return p, err
		}
		p.calls = append(p.calls, c)
	}
	most := 256
	if p.dtype == collective.TypeBF16 {
		most = exactRanks // beyond, sums are rounded, and could not be checked
	}
	for _, n := range p.Procs {
		if n < 2 || n > most {
			return p, fmt.Errorf("%d processes asked for, want 2 … %d", n, most)
		}
	}
	for _, s := range p.Sizes {
		if size := p.dtype.Size(); s < size || s%size != 0 {
			return p, fmt.Errorf("size %d is not a positive multiple of %d bytes", s, size)
		}
	}
	if p.Network != nil && len(p.Peers) > 0 {
		return p, errors.New("peers are measured over the loopback alone, not over a network that is made")
	}
	if err := known("transport", p.Transports, Transports); err != nil {
		return p, err
	}
	if err := known("algorithm", p.Algorithms, Algorithms); err != nil {
		return p, err
	}
	return p, known("peer", p.Peers, Peers)
}

func orElse[T any](v *[]T, otherwise ...T) {
	if len(*v) == 0 {
		*v = otherwise
	}
}

func known(what string, names, among []string) error {
	for _, name := range names {
		if !slices.Contains(among, name) {
			return fmt.Errorf("%s %q is none of %s", what, name, strings.Join(among, ", "))
		}
	}
	return nil
}

func callNamed(name string) (call, error) {
	for _, c := range calls {
		if c.name == name {
			return c, nil
		}
	}
	return call{}, known("call", []string{name}, Calls())
}

// dtypeNamed is an element type that can be reduced.
func dtypeNamed(name string) (collective.DType, error) {
	var names []string
	for t := collective.DType(0); t.Valid(); t++ {
		if t.Reducible() {
			if t.String() == name {
				return t, nil
			}
			names = append(names, t.String())
		}
	}
	return 0, known("element type", []string{name}, names)
}

// Run starts processes of the running program, which must call WorkerMain
// first thing, and of the peers, for every number of processes in turn.
// An error names the rank whose process failed, with what it wrote to standard error; that of
// a peer which is missing is a *PeerError.
func Run(ctx context.Context, opt Options) (Result, error) {
	p, err := opt.plan()
	if err != nil {
		return Result{}, fmt.Errorf("bench collective: %w", err)
	}
	res, err := p.run(ctx)
	if err != nil {
		if why := context.Cause(ctx); why != nil {
			err = why // what came of it says nothing
		}
		return Result{}, fmt.Errorf("bench collective: %w", err)
	}
	return res, nil
}

func (p plan) run(ctx context.Context) (Result, error) {
	res := Result{Turns: p.Rounds, Network: p.Network}
	var peers []peer
	for _, name := range p.Peers {
		other, err := openPeer(ctx, name, p.Python)
		if err != nil {
			return res, err
		}
		defer other.remove()
		// A program that has no time left removes them all the same.
		defer context.AfterFunc(ctx, other.remove)()
		peers = append(peers, other)
	}
	for _, n := range p.Procs {
		if err := p.runWorld(ctx, n, peers, &res); err != nil {
			return res, err
		}
	}
	return res, nil
}

// runWorld measures all calls and sizes with n processes of each program.
// All have ended when it returns.
func (p plan) runWorld(ctx context.Context, n int, peers []peer, res *Result) (err error) {
	var lab *netlab.Lab
	var ours, theirs []*world
	defer func() {
		for _, w := range slices.Concat(ours, theirs) {
			w.close()
		}
		if lab != nil {
			err = errors.Join(err, lab.Close())
		}
	}()
	if p.Network != nil {
		spec := *p.Network
		spec.Nodes = n
		if lab, err = netlab.Start(spec); err != nil {
			return err
		}
	}
	// Ours first: their start is measured.
	for _, transport := range p.Transports {
		for _, algorithm := range p.Algorithms {
			w, err := startOurs(ctx, n, way{transport, algorithm}, lab)
			if err != nil {
				return err
			}
			w.delayed = p.Network != nil
			ours = append(ours, w)
		}
	}
	for _, other := range peers {
		w, err := other.start(ctx, n)
		if err != nil {
			return err
		}
		theirs = append(theirs, w)
	}
	for _, c := range p.calls {
		for _, size := range p.sizes(c) {
			rows, err := p.measure(ctx, cell{c, p.dtype, n, c.whole(size/p.dtype.Size(), n)}, ours, theirs)
			if err != nil {
				return err
			}
			res.Rows = append(res.Rows, rows...)
		}
	}
	for i, w := range slices.Concat(ours, theirs) {
		s := Start{Procs: n, Seconds: w.met, Connections: w.connections, Shared: w.shared, Peak: w.peak, Version: w.version}
		if i < len(ours) {
			s.Transport, s.Asked = w.way.Transport, w.way.Algorithm
		} else {
			s.Peer = w.name
		}
		res.Starts = append(res.Starts, s)
	}
	return nil
}

// sizes are those of a call; one that moves nothing has one.
func (p plan) sizes(c call) []int {
	if !c.moves() {
		return []int{0}
	}
	return p.Sizes
}

// cell is what all programs do in turn.
type cell struct {
	call  call
	dtype collective.DType
	procs int
	count int // elements
}

// A round begins with warm calls that do not count, and has as many as fit its time: at least three, or
// the median were one that was disturbed; at most 2000, or small sizes take memory. The first has fewer.
const warm, fewest, first, most = 2, 3, 100, 2000

// program is a world in a cell.
type program struct {
	bench.Program[sample]
	lacks     string // why it has no such call
	algorithm string // that it takes
}

// program gets a world ready for a cell: the result is checked, and how long a call takes is
// looked at, which says how many a round has.
func (p plan) program(w *world, c cell) (*program, error) {
	t := task{Call: c.call, DType: c.dtype, Count: c.count, Warm: warm, Rounds: fewest, Check: true}
	s, err := w.measure(t)
	var lack *lackError
	switch {
	case errors.As(err, &lack):
		return &program{lacks: lack.why}, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", w.name, err)
	}
	algorithm := s.Algorithm
	t.Check = false
	span := p.PerSize / time.Duration(p.Rounds)
	t.Rounds = min(fitting(span, time.Duration(2*median(s)*float64(time.Second))), first)
	x := &program{algorithm: algorithm, Program: bench.Program[sample]{Name: w.name}}
	x.Measure = func(context.Context, int) (sample, error) {
		begin := time.Now()
		s, err := w.measure(t)
		// On a busy machine the barriers may take much longer than the calls.
		t.Rounds = fitting(span, time.Since(begin)/time.Duration(warm+t.Rounds))
		return s, err
	}
	return x, nil
}

// fitting is how many calls a round has when each takes so long.
func fitting(span, each time.Duration) int { return int(min(max(span/max(each, 1), fewest), most)) }

// measure measures a cell.
func (p plan) measure(ctx context.Context, c cell, ours, theirs []*world) ([]Row, error) {
	var all []*program
	var turn []*bench.Program[sample]
	for _, w := range slices.Concat(ours, theirs) {
		x, err := p.program(w, c)
		if err != nil {
			return nil, err
		}
		if all = append(all, x); x.lacks == "" {
			turn = append(turn, &x.Program)
		}
	}
	if err := bench.InTurn(ctx, p.Rounds, turn...); err != nil {
		return nil, err
	}
	var rows []Row
	for i, w := range ours {
		mine := c.row(w.way, all[i])
		for k, other := range theirs {
			rows = append(rows, c.beside(mine, all[i], other.name, all[len(ours)+k]))
		}
		if len(theirs) == 0 {
			rows = append(rows, mine)
		}
	}
	return rows, nil
}
