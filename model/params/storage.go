package params

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"vgid/model/backend"
	"vgid/model/hf"
)

// LoadOptions say how weights are kept.
type LoadOptions struct {
	// Weights is the element type in which matrices are kept while they are
	// not trained: "float32", "bfloat16", or "auto", also "": bfloat16 where the
	// files hold that and float32 elsewhere, so that no value changes. Norms,
	// biases and everything trained are float32 whatever is said.
	Weights string
	// Lazy leaves the matrices in their files. The model cannot run; it can be
	// looked at, given an adapter, and saved.
	Lazy bool
	// MapFrom is the size in bytes from which matrices that run as one product are
	// left in the mapped file, where the device can; 0 means 1 MiB. Smaller ones are
	// worth a copy: its rows are aligned, and projections of one input lie behind each
	// other.
	MapFrom int64
}

// Validate checks the fields.
func (o LoadOptions) Validate() error {
	if !slices.Contains([]string{"", "auto", "float32", "bfloat16"}, o.Weights) {
		return fmt.Errorf("weights %q cannot be kept; use auto, float32 or bfloat16", o.Weights)
	}
	return nil
}

func (o LoadOptions) mapFrom() int64 { return cmp.Or(o.MapFrom, 1<<20) }

// stored is how a matrix of a file's dtype is kept.
func (o LoadOptions) stored(file string) backend.DType {
	if o.Weights == "bfloat16" || o.Weights != "float32" && file == "BF16" {
		return backend.BF16
	}
	return backend.F32
}

// source is the folder a model came from, with its weights, which are this
// model's to close.
type source struct {
	dir   string
	files *hf.Weights

	mapFrom int64 // of LoadOptions
}

// fetch gives weights their memory and what the files hold.
func (s *Set) fetch(ctx context.Context, ws []*Weight) error {
	var own []*Weight
	for g := range groups(ws) {
		own = append(own, s.adopt(g)...)
	}
	need, narrow := memory(own)
	hint := ""
	if narrow < need {
		hint = fmt.Sprintf("; kept as bfloat16 they take %v", backend.Bytes(narrow))
	}
	if err := s.affordable(need, hint); err != nil {
		return err
	}
	if err := s.place(own); err != nil {
		return err
	}
	return s.read(ctx, own)
}

// groups yields the runs of weights of one group.
func groups(ws []*Weight) func(yield func([]*Weight) bool) {
	return func(yield func([]*Weight) bool) {
		for i := 0; i < len(ws); {
			j := i
			for j < len(ws) && ws[j].Group == ws[i].Group {
				j++
			}
			if !yield(ws[i:j]) {
				return
			}
			i = j
		}
	}
}

// adopt makes the mapped bytes of the files the memory of a group's matrices,
// where they are of the wanted type and the backend can, and returns the
// weights that need memory of their own.
func (s *Set) adopt(g []*Weight) (rest []*Weight) {
	if s.source == nil || !s.be.Traits().Adopts {
		return g
	}
	var run []*Weight
	var names []string
	bytes := int64(0)
	for _, w := range g {
		info, _ := s.source.files.Info(w.file)
		if !w.Decay || !(w.stored == backend.BF16 && info.DType == "BF16" || w.stored == backend.F32 && info.DType == "F32") {
			rest = append(rest, w)
			continue
		}
		run, names = append(run, w), append(names, w.file)
		bytes += info.Bytes()
	}
	if bytes < s.source.mapFrom {
		return g
	}
	if s.adoptRun(s.source.files.Span(names...), run) {
		return rest
	}
	for i, w := range run {
		if !s.adoptRun(s.source.files.Span(names[i]), run[i:i+1]) {
			rest = append(rest, w)
		}
	}
	return rest
}

// adoptRun adopts weights that lie behind each other in span. Memory that is
// not aligned to its elements, as in files of careless writers, is not adopted.
func (s *Set) adoptRun(span []byte, ws []*Weight) bool {
	if span == nil {
		return false
	}
	buf, err := s.be.Adopt(ws[0].stored, span)
	if err != nil {
		return false
	}
	s.buffers[buf] = true
	at := 0
	for _, w := range ws {
		v := w.Value
		w.Value, w.mapped = backend.View(buf, at, v.Rows, v.Cols), true
		at += v.Len()
	}
	return true
}

// place gives weights memory of their own, one buffer for those of a group and
// element type.
func (s *Set) place(ws []*Weight) error {
	defer backend.For(s.be, backend.Weights)()
	for g := range groups(ws) {
		for _, dt := range []backend.DType{backend.F32, backend.BF16} {
			n := 0
			for _, w := range g {
				if w.stored == dt {
					n += w.Value.Len()
				}
			}
			if n == 0 {
				continue
			}
			buf, err := s.be.Alloc(dt, n)
			if err != nil {
				return fmt.Errorf("no memory for %s: %w", g[0].Name, err)
			}
			s.buffers[buf] = true
			at := 0
			for _, w := range g {
				if v := w.Value; w.stored == dt {
					w.Value, w.mapped = backend.View(buf, at, v.Rows, v.Cols), false
					at += v.Len()
				}
			}
		}
	}
	return nil
}

// pieceElements is about how much of a tensor is on its way at a time.
const pieceElements = 1 << 20

// read fills weights from their tensors, a few rows at a time.
func (s *Set) read(ctx context.Context, ws []*Weight) error {
	if s.Dry() {
		for _, w := range ws {
			s.be.Fill(w.Value, 0)
		}
		return nil
	}
	var host []float32
	for _, w := range ws {
		if err := ctx.Err(); err != nil {
			return err
		}
		v, width := w.Value, w.RowLen()
		rows, per := v.Len()/width, max(1, pieceElements/width)
		for from := 0; from < rows; from += per {
			n := min(per, rows-from) * width
			host = slices.Grow(host[:0], n)[:n]
			if err := s.source.files.ReadRows(w.file, host, from); err != nil {
				return err
			}
			if w.stored == backend.BF16 {
				if err := hf.CheckBF16(w.file, host); err != nil {
					return err
				}
			}
			s.be.Upload(w.stretch(from*width, n), host)
		}
	}
	return s.be.Sync()
}
