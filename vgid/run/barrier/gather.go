package barrier

import (
	"context"
	"encoding/json"
	"fmt"
)

// Gather is Barrier for what f gives as values, which travel as JSON. All ranks
// call it.
func Gather[T any](ctx context.Context, g *Group, f func(context.Context) (T, error)) ([]T, error) {
	parts, err := g.Barrier(ctx, func(ctx context.Context) ([]byte, error) {
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

// Exchange gives every rank the values of all, by rank, without a barrier: a rank
// that has none to give lets the others wait until their deadline. All ranks call it.
func Exchange[T any](ctx context.Context, g *Group, mine T) ([]T, error) {
	raw, err := json.Marshal(mine)
	if err != nil {
		return nil, err
	}
	parts, err := g.comm.AllGatherBytes(ctx, raw)
	if err != nil {
		return nil, err
	}
	return values[T](parts)
}

// FromRank0 gives every rank what f gives on rank 0, where alone it runs. All ranks
// call it.
func FromRank0[T any](ctx context.Context, g *Group, f func(context.Context) (T, error)) (T, error) {
	all, err := Gather(ctx, g, func(ctx context.Context) (v T, err error) {
		if g.Rank() == 0 {
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
