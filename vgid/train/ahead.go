package train

import "context"

// prepared is a batch that was prepared before its turn.
type prepared struct {
	ok          bool
	step, share int // whose
	batch       Batch
	err         error
}

func (t *Trainer) draw(step int) [][]Sample { return t.objective.Draw(step, t.Shard) }

// take gives the batch of a share of this step: it is prepared, unless that has been
// done.
func (t *Trainer) take(ctx context.Context, i int, share []Sample) (Batch, error) {
	n := t.next
	if n.ok && n.step == t.step && n.share == i {
		t.next = prepared{}
		return n.batch, n.err
	}
	t.drop()
	return t.objective.Prepare(ctx, t.step, share)
}

// drop gives back the batch that was prepared ahead.
func (t *Trainer) drop() {
	if t.next.batch != nil {
		t.next.batch.Release()
	}
	t.next = prepared{}
}

// lookAhead prepares the batch of this step, or the first of the next, and begins
// to upload it, while the device works off what is queued and gradients travel. An
// error waits for the batch's turn.
func (t *Trainer) lookAhead(ctx context.Context, shares [][]Sample, i int) {
	step := t.step
	if i == len(shares) {
		step, i = step+1, 0
	}
	if step == t.Steps {
		return
	}
	if step > t.step {
		shares = t.draw(step)
	}
	n := prepared{ok: true, step: step, share: i}
	if n.batch, n.err = t.objective.Prepare(ctx, step, shares[i]); n.err == nil {
		if n.err = n.batch.Upload(); n.err != nil {
			n.batch.Release()
			n.batch = nil
		}
	}
	t.next = n
}
