package run

import (
	"context"
	"encoding/json"
	"fmt"
)

// gather is meet for what f gives as values. All ranks call it.
func gather[T any](ctx context.Context, j *Job, f func(context.Context) (T, error)) ([]T, error) {
	parts, err := j.meet(ctx, func(ctx context.Context) ([]byte, error) {
		mine, err := f(ctx)
		if err != nil {
			return nil, err
		}
		return json.Marshal(mine)
	})
	if err != nil {
		return nil, err
	}
	return values[T](parts)
}

// exchange gives every rank the values of all, without a meeting: a rank that has
// none to give lets the others wait. All ranks call it.
func exchange[T any](ctx context.Context, j *Job, mine T) ([]T, error) {
	raw, err := json.Marshal(mine)
	if err != nil {
		return nil, err
	}
	parts, err := j.Comm.AllGatherBytes(ctx, raw)
	if err != nil {
		return nil, err
	}
	return values[T](parts)
}

// values are what the ranks said in JSON.
func values[T any](parts [][]byte) ([]T, error) {
	all := make([]T, len(parts))
	for r, p := range parts {
		if err := json.Unmarshal(p, &all[r]); err != nil {
			return nil, fmt.Errorf("what rank %d says: %w", r, err)
		}
	}
	return all, nil
}

// fromLead gives every rank what f gives on rank 0, where alone it runs. All
// ranks call it.
func fromLead[T any](ctx context.Context, j *Job, f func(context.Context) (T, error)) (T, error) {
	all, err := gather(ctx, j, func(ctx context.Context) (v T, err error) {
		if j.lead() {
			return f(ctx)
		}
		return v, nil
	})
	if err != nil {
		var none T
		return none, err
	}
	return all[0], nil
}
