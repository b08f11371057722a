package model

import (
	"context"
	"hash/fnv"
	"os"
	"runtime"
	"sync"

	"vgid/model/backend"
	"vgid/model/hf"
)

// WriteRandom writes a model folder of the weights that New draws, tensor by
// tensor, so that it takes little memory whatever the model's size: config.json,
// generation_config.json and the weights in o's type and shards. There is no
// tokenizer.
func WriteRandom(ctx context.Context, dir string, c *Config, seed uint64, o SaveOptions) error {
	m, err := assemble(countOnly(), c)
	if err != nil {
		return err
	}
	dtype, err := o.fileDType()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var all []hf.Stream
	for _, w := range m.weights {
		all = append(all, hf.Stream{
			Name: w.Name, TensorInfo: hf.TensorInfo{DType: dtype, Shape: w.Shape},
			Rows: func(dst []float32, from int) error {
				w.drawn(dst, from*w.rowLen(), seed)
				return ctx.Err()
			},
		})
	}
	if err := hf.WriteShards(dir, hf.Shards(all, o.MaxShardBytes)); err != nil {
		return err
	}
	return m.saveConfig(dir, o)
}

// drawn fills dst with the initial values of w from an element on, on all
// processors: a value costs some ten times its way to the disk.
func (w *weight) drawn(dst []float32, from int, seed uint64) {
	if w.Std == 0 {
		for i := range dst {
			dst[i] = w.Fill
		}
		return
	}
	cols := w.Value.Cols
	first, last := from/cols, (from+len(dst)-1)/cols
	workers := min(runtime.GOMAXPROCS(0), last-first+1)
	var wait sync.WaitGroup
	for n := range workers {
		wait.Go(func() {
			row := make([]float32, cols)
			for r := first + n; r <= last; r += workers {
				w.row(row, r, seed)
				at := r*cols - from
				copy(dst[max(0, at):], row[max(0, -at):])
			}
		})
	}
	wait.Wait()
}

// row draws the initial values of a row of the matrix.
func (w *weight) row(dst []float32, r int, seed uint64) {
	backend.FillRandom(dst, backend.Normal, w.key(seed), uint32(r))
	for i := range dst {
		dst[i] *= float32(w.Std)
	}
}

// key selects the stream that the weight's initial values come from.
func (w *weight) key(seed uint64) backend.Key {
	h := fnv.New32a()
	h.Write([]byte(w.Name))
	return backend.Key{Seed: seed, Site: h.Sum32()}
}
