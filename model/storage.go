package model

import (
	"context"
	"fmt"
	"slices"

	"vgid/model/backend"
	"vgid/model/hf"
)

// LoadOptions belong to LoadAs.
type LoadOptions struct {
	// Weights is the element type in which matrices are kept while they are
	// not trained: "float32", "bfloat16", or "auto", also "": bfloat16 where the
	// files hold that and float32 elsewhere, so that no value changes. Norms,
	// biases and everything trained are float32 whatever is said.
	Weights string
	// Lazy leaves the matrices in their files. The model cannot run; it can be
	// looked at, given an adapter, and saved.
	Lazy bool
}

func (o LoadOptions) validate() error {
	if !slices.Contains([]string{"", "auto", "float32", "bfloat16"}, o.Weights) {
		return fmt.Errorf("weights %q cannot be kept; use auto, float32 or bfloat16", o.Weights)
	}
	return nil
}

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
}

// adoptBytes is the size from which matrices that run as one product are left
// in the mapped file. Smaller ones are worth a copy: its rows are aligned, and
// projections of one input lie behind each other. A variable for tests.
var adoptBytes int64 = 1 << 20

// fetch gives weights their memory and what the files hold.
func (m *Model) fetch(ctx context.Context, ws []*weight) error {
	var own []*weight
	for g := range groups(ws) {
		own = append(own, m.adopt(g)...)
	}
	need, narrow := memory(own)
	hint := ""
	if narrow < need {
		hint = fmt.Sprintf("; kept as bfloat16 they take %v", backend.Bytes(narrow))
	}
	if err := m.affordable(need, hint); err != nil {
		return err
	}
	if err := m.place(own); err != nil {
		return err
	}
	return m.read(ctx, own)
}

// groups yields the runs of weights of one group.
func groups(ws []*weight) func(yield func([]*weight) bool) {
	return func(yield func([]*weight) bool) {
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
func (m *Model) adopt(g []*weight) (rest []*weight) {
	if !m.be.Traits().Adopts {
		return g
	}
	var run []*weight
	var names []string
	bytes := int64(0)
	for _, w := range g {
		info, _ := m.source.files.Info(w.file)
		if !w.Decay || !(w.stored == backend.BF16 && info.DType == "BF16" || w.stored == backend.F32 && info.DType == "F32") {
			rest = append(rest, w)
			continue
		}
		run, names = append(run, w), append(names, w.file)
		bytes += info.Bytes()
	}
	if bytes < adoptBytes {
		return g
	}
	if m.adoptRun(m.source.files.Span(names...), run) {
		return rest
	}
	for i, w := range run {
		if !m.adoptRun(m.source.files.Span(names[i]), run[i:i+1]) {
			rest = append(rest, w)
		}
	}
	return rest
}

// adoptRun adopts weights that lie behind each other in span. Memory that is
// not aligned to its elements, as in files of careless writers, is not adopted.
func (m *Model) adoptRun(span []byte, ws []*weight) bool {
	if span == nil {
		return false
	}
	buf, err := m.be.Adopt(ws[0].stored, span)
	if err != nil {
		return false
	}
	m.buffers[buf] = true
	at := 0
	for _, w := range ws {
		v := w.Value
		w.Value, w.mapped = backend.View(buf, at, v.Rows, v.Cols), true
		at += v.Len()
	}
	return true
}

// memory is what weights take as they are stored, and with every matrix as
// bfloat16.
func memory(ws []*weight) (bytes, narrow int64) {
	for _, w := range ws {
		n := int64(w.Value.Len())
		bytes += n * int64(w.stored.Size())
		if w.Decay {
			narrow += n * int64(backend.BF16.Size())
		} else {
			narrow += n * int64(w.stored.Size())
		}
	}
	return bytes, narrow
}

// affordable refuses weights that the device has no memory for, before any of
// it is taken.
func (m *Model) affordable(need int64, hint string) error {
	if free, yes := short(m.be, need); yes {
		return tooMuch("the weights take", need, free, hint)
	}
	return nil
}

// place gives weights memory of their own, one buffer for those of a group and
// element type.
func (m *Model) place(ws []*weight) error {
	defer backend.For(m.be, backend.Weights)()
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
			buf, err := m.be.Alloc(dt, n)
			if err != nil {
				return fmt.Errorf("no memory for %s: %w", g[0].Name, err)
			}
			m.buffers[buf] = true
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
func (m *Model) read(ctx context.Context, ws []*weight) error {
	if m.dry() {
		for _, w := range ws {
			m.be.Fill(w.Value, 0)
		}
		return nil
	}
	var host []float32
	for _, w := range ws {
		if err := ctx.Err(); err != nil {
			return err
		}
		v, width := w.Value, w.rowLen()
		rows, per := v.Len()/width, max(1, pieceElements/width)
		for from := 0; from < rows; from += per {
			n := min(per, rows-from) * width
			host = slices.Grow(host[:0], n)[:n]
			if err := m.source.files.ReadRows(w.file, host, from); err != nil {
				return err
			}
			if w.stored == backend.BF16 {
				if err := hf.CheckBF16(w.file, host); err != nil {
					return err
				}
			}
			m.be.Upload(w.stretch(from*width, n), host)
		}
	}
	return m.be.Sync()
}

// rowLen is the number of elements of a row of the first dimension in files.
func (w *weight) rowLen() int { return max(1, w.Value.Len()/max(1, w.Shape[0])) }

// stretch is n elements of the value from one on, as one row.
func (w *weight) stretch(from, n int) backend.Tensor {
	return w.Value.Reshape(1, w.Value.Len()).ColRange(from, from+n)
}
