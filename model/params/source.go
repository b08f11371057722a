package params

import (
	"context"
	"slices"

	"vgid/model/backend"
	"vgid/model/hf"
)

// source is the folder a model came from, with its weights, which are this
// model's to close.
type source struct {
	dir   string
	files *hf.Weights

	mapFrom int64 // of LoadOptions
}

// adopt makes the mapped bytes of the files the memory of a group's matrices,
// where they are of the wanted type and the backend can, and returns the
// weights that need memory of their own.
// In one piece where the files have the matrices behind each other, since projections of one input
// then run as one product; else one by one.
func (s *source) adopt(m *memory, g []*Weight) (rest []*Weight) {
	if s == nil || !m.be.Traits().Adopts {
		return g
	}
	var run []*Weight
	var names []string
	bytes := int64(0)
	for _, w := range g {
		info, _ := s.files.Info(w.file)
		if !w.Decay || !(w.stored == backend.BF16 && info.DType == "BF16" || w.stored == backend.F32 && info.DType == "F32") {
			rest = append(rest, w)
			continue
		}
		run, names = append(run, w), append(names, w.file)
		bytes += info.Bytes()
	}
	if bytes < s.mapFrom {
		return g
	}
	if m.adopt(s.files.Span(names...), run) {
		return rest
	}
	for i, w := range run {
		if !m.adopt(s.files.Span(names[i]), run[i:i+1]) {
			rest = append(rest, w)
		}
	}
	return rest
}

// pieceElements is about how much of a tensor is on its way at a time.
const pieceElements = 1 << 20

// read fills weights from their tensors, a few rows at a time.
// Values are checked as they pass: the largest of float32 are infinite in bfloat16.
func (s *source) read(ctx context.Context, be backend.Backend, ws []*Weight) error {
	if be.Traits().Empty {
		for _, w := range ws {
			be.Fill(w.Value, 0)
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
			if err := s.files.ReadRows(w.file, host, from); err != nil {
				return err
			}
			if w.stored == backend.BF16 {
				if err := hf.CheckBF16(w.file, host); err != nil {
					return err
				}
			}
			be.Upload(w.stretch(from*width, n), host)
		}
	}
	return be.Sync()
}
