package predict

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vgid/collective/schedule"
)

// parts cuts a buffer as the calls do.
func parts(total int) func(block, blocks int) int {
	return func(block, blocks int) int {
		lo, hi := schedule.Segment(total/4, blocks, block)
		return 4 * (hi - lo)
	}
}

func ring(n int) func(int) schedule.Plan {
	return func(r int) schedule.Plan { return schedule.RingAllReduce(r, n) }
}

// Where all ranks do the same at the same time, the time is a formula that textbooks have.
func TestFormulas(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		name  string
		n     int
		plan  func(n int) func(int) schedule.Plan
		bytes int
		net   Net
		want  float64
	}{
		{"alone", 1, ring, mb, Net{Alpha: 1, Beta: 1, Chunk: mb}, 0},
		// 2(n-1) steps of a frame each: nothing to pipeline.
		{"ring, latency", 8, ring, 8 * 1024, Net{Alpha: 1e-3, Chunk: mb}, 14e-3},
		{"ring, one frame a step", 4, ring, 4 * mb, Net{Alpha: 1e-3, Beta: 1e-9, Chunk: mb}, 6 * (1e-3 + mb*1e-9)},
		// A step longer than what one frame takes to arrive: the link never rests, and the latency counts once.
		{"ring, many frames a step", 4, ring, 64 * mb, Net{Alpha: 1e-3, Beta: 1e-9, Chunk: mb}, 1e-3 + 6*16*mb*1e-9},
		// A long way: the first frame's second step begins when it has arrived, again and again.
		{"ring, long way", 4, ring, 16 * mb, Net{Alpha: 1, Beta: 1e-9, Chunk: mb}, 6*1 + (5*1+4)*mb*1e-9},
		{"ring, receiver", 4, ring, 4 * mb, Net{TakeByte: 1e-9, Take: 1e-6, Chunk: mb}, 6 * (1e-6 + mb*1e-9)},
		{"doubling", 8, doubling, mb, Net{Alpha: 1e-3, Beta: 1e-9, Chunk: mb}, 3 * (1e-3 + mb*1e-9)},
		{"doubling, frames", 8, doubling, 2 * mb, Net{Alpha: 1e-3, Beta: 1e-9, Chunk: mb / 2}, 3 * (1e-3 + 2*mb*1e-9)},
		{"header", 2, doubling, 0, Net{Beta: 1e-6, Header: 64, Chunk: mb}, 64e-6},
	} {
		got, err := Time(c.n, c.plan(c.n), parts(c.bytes), c.net)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if math.Abs(got.Seconds()-c.want) > 1e-6*c.want+1e-9 {
			t.Errorf("%s: %v, want %v", c.name, got, time.Duration(c.want*1e9))
		}
	}
}

func doubling(n int) func(int) schedule.Plan {
	return func(r int) schedule.Plan { return schedule.DoublingAllReduce(r, n) }
}

// A better network is never slower, and no plan beats what its bytes take on the link.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 20).Draw(t, "ranks")
		bytes := 4 * rapid.IntRange(0, 1<<18).Draw(t, "elements")
		net := Net{
			Alpha: rapid.Float64Range(0, 1e-3).Draw(t, "alpha"), Beta: rapid.Float64Range(1e-10, 1e-8).Draw(t, "beta"),
			Send: rapid.Float64Range(0, 1e-5).Draw(t, "send"), TakeByte: rapid.Float64Range(0, 1e-8).Draw(t, "take"),
			Chunk: 1 << rapid.IntRange(10, 20).Draw(t, "chunk"),
		}
		plan := rapid.SampledFrom([]func(int) func(int) schedule.Plan{ring, doubling}).Draw(t, "plan")
		got, err := Time(n, plan(n), parts(bytes), net)
		if err != nil {
			t.Fatal(err)
		}
		if least := 2 * float64(n-1) / float64(n) * float64(bytes/(2*n)) * net.Beta; got.Seconds() < least-1e-9 { // a time is whole nanoseconds
			t.Errorf("%v, less than its bytes take: %v s", got, least)
		}
		better := net
		better.Alpha, better.Beta = net.Alpha/2, net.Beta/2
		if faster, err := Time(n, plan(n), parts(bytes), better); err != nil || faster > got {
			t.Errorf("%v, and %v (%v) on a network of twice the speed", got, faster, err)
		}
	})
}

// Ranks that wait for each other for ever are an error, not a hang.
func TestStuck(t *testing.T) {
	wait := func(r int) schedule.Plan {
		p := schedule.DoublingAllReduce(r, 2)
		p.Steps[0].To = schedule.None
		return p
	}
	if d, err := Time(2, wait, parts(8), Net{Chunk: 8}); err == nil {
		t.Errorf("two ranks that only receive end after %v", d)
	}
}
