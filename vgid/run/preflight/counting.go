package preflight

import (
	"context"

	"vgid/model"
	"vgid/model/backend"
	"vgid/model/dry"
	"vgid/model/hf/modeldir"
)

// Counting is a model on a device that computes nothing and counts what is taken of
// it. Only the headers of its weights were read.
type Counting struct {
	*model.Model
	counts *dry.Device
	like   dry.Options
}

// Count loads the model of a folder onto a device that counts as be would.
func Count(ctx context.Context, be backend.Backend, from *modeldir.Dir, o model.LoadOptions) (*Counting, error) {
	like := dry.Like(be)
	counting, counts := dry.New(like)
	m, err := model.LoadDir(ctx, counting, from, o)
	if err != nil {
		return nil, err
	}
	return &Counting{m, counts, like}, nil
}

// Taken is the most that was taken at once, in bytes. Where the system gives memory when
// it is touched, only what was written counts.
func (c *Counting) Taken() int64 {
	if c.like.OnDemand {
		return c.counts.Written()
	}
	return c.counts.Most()
}
