package cpu

import "vgid/model/backend"

// randomTask draws Random, or the mask of Dropout when x is given.
type randomTask struct {
	y, x mat
	ids  ints
	key  backend.Key
	dist backend.Distribution
	p    float32
	step int
}

// randomRows is how many rows of cols elements make a chunk: a random number
// costs some ten times the arithmetic of an element.
func randomRows(cols int) int { return max(1, chunkWork/8/max(1, cols)) }

// Random implements backend.Device.
func (b *Device) Random(dst backend.Tensor, dist backend.Distribution, key backend.Key, sample backend.Tensor) {
	const op = "random"
	t := &b.tasks.random
	*t = randomTask{y: b.mat(op, dst), ids: intsOf(sample), key: key, dist: dist, step: randomRows(dst.Cols)}
	if b.Err() == nil {
		b.pool.run(pieces(dst.Rows, t.step), t)
	}
}

// Dropout implements backend.Device.
func (b *Device) Dropout(y, x backend.Tensor, p float32, key backend.Key, rows backend.Tensor) {
	const op = "dropout"
	t := &b.tasks.random
	*t = randomTask{y: b.mat(op, y), x: b.mat(op, x), ids: intsOf(rows), key: key, p: p, step: randomRows(x.Cols)}
	if b.Err() == nil {
		b.pool.run(pieces(x.Rows, t.step), t)
	}
}

// A row's numbers come of its key and ids alone, so neither cutting nor batching changes them;
// one block of Philox gives four words.
func (t *randomTask) do(chunk int, _ *scratch) {
	for i := chunk * t.step; i < min((chunk+1)*t.step, t.y.rows); i++ {
		id := t.ids.d[i*t.ids.ld:]
		if !t.x.given() {
			backend.FillRandom(t.y.row(i), t.dist, t.key, uint32(id[0]))
			continue
		}
		x, y := t.x.row(i), t.y.row(i)
		keep := 1 / (1 - t.p)
		for j := 0; j < len(x); j += 4 {
			words := t.key.Block(uint32(j/4), uint32(id[1]), uint32(id[0]))
			for q := j; q < min(j+4, len(x)); q++ {
				if backend.Keep(words[q-j], t.p) {
					y[q] = x[q] * keep
				} else {
					y[q] = 0
				}
			}
		}
	}
}
