package wire

import (
	"context"
	"sync"
	"testing"

	"vgid/collective"
	"vgid/collective/calltest"
	"vgid/collective/frame"
	"vgid/collective/transporttest"
)

// endpoints are the ways in which the ranks of a job may speak gRPC.
var endpoints = map[string]func(rank int) (stock bool){
	"fast":  func(int) bool { return false },
	"stock": func(int) bool { return true },
	"mixed": func(rank int) bool { return rank%2 == 1 },
}

func TestTransport(t *testing.T) {
	for name, stock := range endpoints {
		t.Run(name, func(t *testing.T) {
			transporttest.Run(t, func(t *testing.T, n int) []frame.Transport { return connected(t, n, stock) })
		})
	}
}

// Every call over gRPC, of short and of long buffers.
func TestCalls(t *testing.T) {
	for name, stock := range endpoints {
		t.Run(name, func(t *testing.T) {
			for _, small := range []int{-1, 0} {
				calltest.All(t, connected(t, 3, stock), collective.Options{Job: "test", SmallBytes: small, ChunkBytes: 64})
			}
		})
	}
}

// Every call in two communicators side by side, each with lanes of its own over the same
// connections.
func TestCallsOfHalves(t *testing.T) {
	for name, stock := range endpoints {
		t.Run(name, func(t *testing.T) {
			calltest.Halves(t, connected(t, 5, stock), collective.Options{Job: "test", ChunkBytes: 64})
		})
	}
}

// connected gives the ends of a world.
func connected(t *testing.T, n int, stock func(rank int) bool) []frame.Transport {
	ts, errs := make([]frame.Transport, n), make([]error, n)
	ls, addrs := listen(t, n)
	var wg sync.WaitGroup
	for r := range n {
		wg.Go(func() {
			ts[r], errs[r] = Connect(context.Background(), Config{Job: "test", Token: "secret", Rank: r, Peers: addrs, Listener: ls[r], Stock: stock(r)})
		})
	}
	wg.Wait()
	noErrors(t, errs)
	return ts
}
