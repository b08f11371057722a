package wire

import (
	"context"
	"sync"
	"testing"

	"vgid/collective"
	"vgid/collective/calltest"
	"vgid/collective/frame"
	"vgid/collective/mtls"
	"vgid/collective/transporttest"
)

// way is one in which the ranks of a job may reach each other.
type way struct {
	stock  func(rank int) bool
	tls    bool
	memory func(rank int) bool
}

func none(int) bool      { return false }
func all(int) bool       { return true }
func odd(rank int) bool  { return rank%2 == 1 }
func even(rank int) bool { return rank%2 == 0 }

var endpoints = map[string]way{
	"fast": {none, false, none}, "stock": {all, false, none}, "mixed": {odd, false, none},
	"fast over TLS": {none, true, none}, "stock over TLS": {all, true, none}, "mixed over TLS": {odd, true, none}, "mixed the other way over TLS": {even, true, none},
	"memory": {none, false, all}, "memory beside stock over TLS": {all, true, all}, "memory between some": {none, false, even},
}

func TestTransport(t *testing.T) {
	for name, way := range endpoints {
		t.Run(name, func(t *testing.T) {
			transporttest.Run(t, func(t *testing.T, n int) []frame.Transport { return connected(t, n, way) })
		})
	}
}

// Every call over gRPC, of short and of long buffers.
func TestCalls(t *testing.T) {
	for name, way := range endpoints {
		t.Run(name, func(t *testing.T) {
			for _, small := range []int{-1, 0} {
				calltest.All(t, connected(t, 3, way), collective.Options{Job: "test", SmallBytes: small, ChunkBytes: 64})
			}
		})
	}
}

// Sums that travel as BF16, within hosts and between them, in frames that end anywhere:
// whole numbers this small are exact in it.
func TestSumsAsBF16(t *testing.T) {
	var jobs []calltest.Job
	for _, count := range []int{1, 7, 501, 20_001} {
		for _, call := range []collective.Call{collective.CallAllReduce, collective.CallReduceScatter, collective.CallReduceScatterV} {
			jobs = append(jobs, calltest.Job{Call: call, Count: count, Counts: []int{count, 0, count / 2, 3}, Async: count == 7})
		}
	}
	for name, way := range endpoints {
		t.Run(name, func(t *testing.T) {
			for _, hosts := range [][]int{nil, {0, 1, 0, 1}} {
				opt := collective.Options{Job: "test", SmallBytes: -1, ChunkBytes: 1000, Wire: collective.TypeBF16, Hosts: hosts}
				if err := calltest.Check(connected(t, 4, way), opt, jobs); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Every call in two communicators side by side, each with lanes of its own over the same
// connections.
func TestCallsOfHalves(t *testing.T) {
	for name, way := range endpoints {
		t.Run(name, func(t *testing.T) {
			calltest.Halves(t, connected(t, 5, way), collective.Options{Job: "test", ChunkBytes: 64})
		})
	}
}

// connected gives the ends of a world.
func connected(t testing.TB, n int, way way) []frame.Transport {
	ids := make([]*mtls.Identity, n)
	if way.tls {
		ids = identities(t, n)
	}
	ts, errs := make([]frame.Transport, n), make([]error, n)
	ls, addrs := listen(t, n)
	var wg sync.WaitGroup
	for r := range n {
		wg.Go(func() {
			ts[r], errs[r] = Connect(context.Background(), Config{Job: "test", Token: "secret", Rank: r, Peers: addrs, Listener: ls[r], Stock: way.stock(r), TLS: ids[r], Memory: way.memory(r)})
		})
	}
	wg.Wait()
	noErrors(t, errs)
	return ts
}
