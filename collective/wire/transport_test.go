package wire

import (
	"context"
	"sync"
	"testing"

	"vgid/collective"
	"vgid/collective/transporttest"
)

func TestTransport(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, n int) []collective.Transport {
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
	})
}
