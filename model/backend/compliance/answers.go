package compliance

import (
	"math/rand/v2"
	"sync"

	"vgid/model/backend"
	"vgid/model/ref"
)

// reference is the float64 backend, whose values can be read in full.
// The suite reads single elements of it, where a device gives whole views.
type reference interface {
	backend.Backend
	At(t backend.Tensor, r, c int) float64
}

// answers are the inputs of a part and what the reference makes of them, kept because drawing and
// computing them takes longer than the device that is tested, and a test process plays each part
// up to six times. A part asks for the same inputs and outputs in the same order each time, or
// for none where the device does not have what it tests. Nothing writes to answers once
// they are recorded.
type answers struct {
	inputs  []input
	outputs []output
}

// input is the float buffer of one twin. The stream of random numbers stood at before when it was
// drawn, and at after behind it: a twin that finds the stream elsewhere draws its own.
type input struct {
	before, after rand.PCG
	host          []float32
}

// output is what the reference computed, in full precision and row-major order; the integers are
// of the whole buffer.
type output struct {
	op, what string
	floats   []float64
	ints     []int32
}

// record plays a part on the reference and keeps its answers.
func record(t reporter, be reference, c one) *answers {
	a := &answers{}
	play(t, be, a, recorded, c)
	return a
}

// known are the answers of ref.New, by the name of the part. One that failed is not kept.
var known struct {
	sync.Mutex
	parts map[string]*answers
}

// answersOf gives the answers of the reference to a part, recorded when first asked for.
func answersOf(t reporter, c one) *answers {
	t.Helper()
	known.Lock()
	defer known.Unlock()
	a := known.parts[c.name]
	if a == nil {
		if a = record(t, ref.New(), c); t.Failed() {
			return a
		}
		if known.parts == nil {
			known.parts = map[string]*answers{}
		}
		known.parts[c.name] = a
	}
	return a
}

// draw gives the host's values of a twin: those kept, where the stream stands where it stood.
func (s *twins) draw(host func() []float32) []float32 {
	s.drawn++
	if s.why != recorded && s.drawn <= len(s.answers.inputs) && s.answers.inputs[s.drawn-1].before == *s.pcg {
		in := s.answers.inputs[s.drawn-1]
		*s.pcg = in.after
		return in.host
	}
	in := input{before: *s.pcg, host: host()}
	if in.after = *s.pcg; s.why == recorded {
		s.answers.inputs = append(s.answers.inputs, in)
	}
	return in.host
}

// want gives an output its answer, or keeps it.
func (s *suite) want(op, what string, w *twin) {
	s.t.Helper()
	if s.why == recorded {
		w.want = make([]float64, 0, w.dev.Len())
		for r := range w.dev.Rows {
			for c := range w.dev.Cols {
				w.want = append(w.want, s.dev.(reference).At(w.dev, r, c))
			}
		}
		s.answers.outputs = append(s.answers.outputs, output{op: op, what: what, floats: w.want})
		return
	}
	w.want = s.next(op, what).floats
	if len(w.want) != w.dev.Len() {
		s.t.Fatalf("%s %s: %d values, the reference was asked for %d", op, what, w.dev.Len(), len(w.want))
	}
}

// wantInts is want for integers, which are compared over the whole buffer.
func (s *suite) wantInts(op, what string, got []int32) []int32 {
	s.t.Helper()
	switch s.why {
	case repeated:
		return got
	case recorded:
		s.answers.outputs = append(s.answers.outputs, output{op: op, what: what, ints: got})
		return got
	}
	want := s.next(op, what).ints
	if len(want) != len(got) {
		s.t.Fatalf("%s %s: %d integers, the reference was asked for %d", op, what, len(got), len(want))
	}
	return want
}

// next is the reference's next output. That a part asks the reference and the device for
// different things would be a mistake of the part.
func (s *suite) next(op, what string) output {
	s.t.Helper()
	s.asked++
	if s.asked > len(s.answers.outputs) {
		s.t.Fatalf("%s %s: the reference was not asked for it", op, what)
	}
	o := s.answers.outputs[s.asked-1]
	if o.op != op || o.what != what {
		s.t.Fatalf("%s %s: the reference was asked for %s %s", op, what, o.op, o.what)
	}
	return o
}
