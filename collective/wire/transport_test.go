package wire

import (
	"context"
	"sync"
	"testing"

	"vgid/collective"
	"vgid/collective/calltest"
	"vgid/collective/transporttest"
)

func TestTransport(t *testing.T) { transporttest.Run(t, connected) }

// Every call over gRPC, of short and of long buffers.
func TestCalls(t *testing.T) {
	for _, small := range []int{-1, 0} {
		calltest.All(t, connected(t, 3), collective.Options{Job: "test", SmallBytes: small, ChunkBytes: 64})
	}
}

func TestCallsOfHalves(t *testing.T) {
	calltest.Halves(t, connected(t, 5), collective.Options{Job: "test", ChunkBytes: 64})
}

// connected gives the ends of a world.
func connected(t *testing.T, n int) []collective.Transport {
	ts, errs := make([]collective.Transport, n), make([]error, n)
	ls, addrs := listen(t, n)
	var wg sync.WaitGroup
	for r := range n {
		wg.Go(func() {
			ts[r], errs[r] = Connect(context.Background(), Config{Job: "test", Token: "secret", Rank: r, Peers: addrs, Listener: ls[r]})
		})
	}
	wg.Wait()
	noErrors(t, errs)
	return ts
}
