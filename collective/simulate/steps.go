package simulate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"vgid/collective"
	"vgid/collective/calltest"
	"vgid/collective/frame"
)

// take takes a step.
func (p *player) take(c, child *collective.Comm, st *Step, i int) error {
	rank := c.Rank()
	switch st.Way {
	case Messages:
		return p.messages(c, st, i)
	case Queued:
		return p.queued(c, i)
	case Twice:
		return p.twice(c, st, i)
	}
	job := st.Job
	f := p.fault(OtherCall, rank, i)
	if f != nil {
		p.strikes(f)
		job = other(job, rand.New(rand.NewPCG(p.s.Seed, uint64(ofStep))), p.s.Ranks)
	}
	if st.Way != Beside {
		return p.call(c, rank, job, i, f == nil)
	}
	beside := make(chan error, 1)
	go func() { beside <- p.call(child, rank, st.Subs[rank%p.s.Colors], i, true) }()
	time.Sleep(time.Duration(1 + rank)) // apart in time, so that the times of the two calls do not end together
	err := p.call(c, rank, job, i, f == nil)
	return errors.Join(err, <-beside)
}

// call makes a call and looks at what comes out, if the others make the same.
func (p *player) call(c *collective.Comm, rank int, job calltest.Job, i int, same bool) error {
	got, err := job.Do(context.Background(), c)
	p.keep(rank, i, got)
	if err != nil {
		return err
	}
	if want := job.Want(c.Size(), c.Rank()); same && !bytes.Equal(got, want) {
		p.fail("wrong result: rank %d of %d, step %d, %+v gives %x, want %x", c.Rank(), c.Size(), i, job, got, want)
	}
	return nil
}

// keep notes memory that a call has returned.
func (p *player) keep(rank, i int, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	me := p.ranks[rank]
	me.kept = append(me.kept, kept{i, b, sumOf(b)})
}

// other is a call that differs.
func other(j calltest.Job, r *rand.Rand, n int) calltest.Job {
	ways := []func(){func() {
		if j.Call == frame.CallBarrier {
			j.Call = frame.CallAllReduce
		} else {
			j.Call = frame.CallBarrier
		}
	}}
	if j.Call != frame.CallBarrier {
		ways = append(ways, func() {
			at := slices.Index(calltest.Types, j.DType)
			j.DType = calltest.Types[(at+1+r.IntN(len(calltest.Types)-1))%len(calltest.Types)]
		})
	}
	if j.Call.Is(frame.Reducing) {
		ways = append(ways, func() { j.Op = calltest.Ops[(slices.Index(calltest.Ops, j.Op)+1)%len(calltest.Ops)] })
	}
	if j.Call.Is(frame.FromRoot) {
		ways = append(ways, func() { j.Root = (j.Root + 1 + r.IntN(n-1)) % n })
	}
	if j.Call != frame.CallBarrier && !j.Call.Is(frame.Pairs) {
		ways = append(ways, func() {
			j.Count++
			j.Counts = slices.Clone(j.Counts)
			j.Counts[0]++
		})
	}
	ways[r.IntN(len(ways))]()
	return j
}

// messages sends two messages to a rank, and takes two of another: the second first.
func (p *player) messages(c *collective.Comm, st *Step, i int) error {
	ctx, n, rank := context.Background(), c.Size(), c.Rank()
	to, from := (rank+st.Far)%n, (rank-st.Far+n)%n
	value := func(rank, tag int) []int32 {
		v := make([]int32, st.Job.Count/(tag+1))
		for k := range v {
			v[k] = int32(rank*1000 + tag*100 + k)
		}
		return v
	}
	var sends, receives []*collective.Handle
	got := [2][]int32{make([]int32, st.Job.Count+3), make([]int32, st.Job.Count+3)}
	for _, tag := range []int{1, 0} {
		receives = append(receives, c.Async().Recv(ctx, collective.I32(got[tag]), from, tag))
		time.Sleep(time.Nanosecond)
	}
	for tag := range 2 {
		sends = append(sends, c.Async().Send(ctx, collective.I32(value(rank, tag)), to, tag))
		time.Sleep(time.Nanosecond)
	}
	var err error
	for _, h := range append(sends, receives...) {
		err = errors.Join(err, h.Wait(ctx))
	}
	if err != nil {
		return err
	}
	for k, tag := range []int{1, 0} {
		if want := value(from, tag); receives[k].Count() != len(want) || !slices.Equal(got[tag][:len(want)], want) {
			p.fail("wrong result: rank %d, step %d, message %d of rank %d: %d elements %v, want %v", rank, i, tag, from, receives[k].Count(), got[tag], want)
		}
	}
	return nil
}

// queued makes several calls at once.
func (p *player) queued(c *collective.Comm, i int) error {
	ctx := context.Background()
	var hs []*collective.Handle
	var outs [][]int64
	for k := range 3 {
		v := make([]int64, 1+20*k)
		for e := range v {
			v[e] = int64(calltest.Value(c.Rank(), e+k))
		}
		outs = append(outs, v)
		hs = append(hs, c.Async().AllReduce(ctx, collective.I64(v), collective.Sum))
	}
	var err error
	for _, h := range hs {
		err = errors.Join(err, h.Wait(ctx))
	}
	if err != nil {
		return err
	}
	for k, v := range outs {
		for e := range v {
			want := int64(0)
			for r := range c.Size() {
				want += int64(calltest.Value(r, e+k))
			}
			if v[e] != want {
				p.fail("wrong result: rank %d, step %d, queued call %d, element %d is %d, want %d", c.Rank(), i, k, e, v[e], want)
			}
		}
	}
	return nil
}

// twice reduces values whose order of addition shows, and NaNs that tell which
// came first: whatever the network does, all ranks have the same bits both times.
func (p *player) twice(c *collective.Comm, st *Step, i int) error {
	for k := range 2 {
		r := rand.New(rand.NewPCG(p.s.Seed, uint64(i)<<32|uint64(c.Rank())))
		v := make([]float32, st.Job.Count)
		for e := range v {
			v[e] = float32(r.NormFloat64() * math.Exp(8*r.NormFloat64()))
			if e%9 == 4 {
				v[e] = math.Float32frombits(0x7fc00000 + uint32(c.Rank()+1))
			}
		}
		if err := c.AllReduce(context.Background(), collective.F32(v), collective.Sum); err != nil {
			return err
		}
		h := fnv.New64a()
		for _, x := range v {
			b := math.Float32bits(x)
			h.Write([]byte{byte(b), byte(b >> 8), byte(b >> 16), byte(b >> 24)})
		}
		p.same(fmt.Sprint("step ", i), c.Rank(), k, h.Sum64())
	}
	return nil
}

// same compares bits with those of other ranks.
func (p *player) same(what string, rank, k int, sum uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, ok := p.bits[what]
	if !ok {
		p.bits[what], p.bitsOf[what] = sum, rank
	} else if first != sum {
		p.wrong = append(p.wrong, fmt.Sprintf("wrong result: %s: rank %d has other bits the %dth time than rank %d", what, rank, k, p.bitsOf[what]))
	}
}
