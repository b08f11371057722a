package main

import (
	"testing"

	"vgid/launch"
)

// Workers of a machine take its GPUs in turn, also those of several nodes on it,
// and share memory where they have the same GPU only.
func TestWorkersTakeTheGPUsInTurn(t *testing.T) {
	one := []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
	for _, c := range []struct {
		name    string
		workers []launch.Worker
		visible []string // of each worker
		gpus    int
		want    []int
		apart   bool // no two share
	}{
		{"one node", []launch.Worker{{Rank: 0, Peers: one}, {Rank: 1, LocalRank: 1, Peers: one}, {Rank: 2, LocalRank: 2, Peers: one}}, make([]string, 3), 2, []int{0, 1, 0}, false},
		{"three nodes", []launch.Worker{{Rank: 0, Peers: one}, {Rank: 1, NodeRank: 1, Peers: one}, {Rank: 2, NodeRank: 2, Peers: one}}, make([]string, 3), 3, []int{0, 1, 2}, true},
		{"nodes that see one each", []launch.Worker{{Rank: 0, Peers: one[:2]}, {Rank: 1, NodeRank: 1, Peers: one[:2]}}, []string{"0", "1"}, 1, []int{0, 0}, true},
		{"no launcher", []launch.Worker{{WorldSize: 1}}, make([]string, 1), 4, []int{0}, true},
	} {
		places := map[string]bool{}
		for i, w := range c.workers {
			gpu := gpuOf(w, c.gpus)
			if gpu != c.want[i] {
				t.Errorf("%s: worker %d takes GPU %d, want %d", c.name, i, gpu, c.want[i])
			}
			places[onGPU(machine(w), c.visible[i], gpu)] = true
		}
		if (len(places) == len(c.workers)) != c.apart {
			t.Errorf("%s: the places are %v", c.name, places)
		}
	}
}
