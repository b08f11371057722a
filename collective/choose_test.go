package collective_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"vgid/collective"
	"vgid/collective/mem"
	"vgid/collective/schedule"
)

func TestChoose(t *testing.T) {
	one, two := schedule.Same(8), schedule.NewHosts([]int{0, 0, 0, 0, 1, 1, 1, 1})
	apart := schedule.Apart(8)
	for _, c := range []struct {
		call  collective.Call
		bytes int
		hosts schedule.Hosts
		opt   collective.Options
		want  schedule.Algorithm
	}{
		{collective.CallAllReduce, 64 << 10, one, collective.Options{}, schedule.Doubling},
		{collective.CallAllReduce, 64<<10 + 1, one, collective.Options{}, schedule.Rabenseifner},
		{collective.CallAllReduce, 64 << 20, one, collective.Options{}, schedule.Ring},
		{collective.CallAllReduce, 256 << 10, schedule.Same(2), collective.Options{}, schedule.Ring},
		{collective.CallAllReduce, 4096, two, collective.Options{}, schedule.HierarchicalTree},
		{collective.CallAllReduce, 64 << 20, two, collective.Options{}, schedule.Hierarchical},
		{collective.CallAllReduce, 64 << 20, apart, collective.Options{}, schedule.Ring},
		{collective.CallAllReduce, 4096, one, collective.Options{Algorithm: collective.Ring}, schedule.Ring},
		{collective.CallAllReduce, 64 << 20, one, collective.Options{Algorithm: collective.Doubling}, schedule.Doubling},
		{collective.CallReduceScatter, 4096, one, collective.Options{}, schedule.Halving},
		{collective.CallReduceScatter, 4096, schedule.Same(7), collective.Options{}, schedule.Doubling},
		{collective.CallReduceScatterV, 256 << 10, schedule.Same(7), collective.Options{}, schedule.Halving},
		{collective.CallReduceScatter, 64 << 20, one, collective.Options{}, schedule.Ring},
		{collective.CallAllGather, 64 << 20, two, collective.Options{}, schedule.Hierarchical},
		{collective.CallAllGather, 4096, one, collective.Options{}, schedule.Bruck},
		{collective.CallBroadcast, 4096, one, collective.Options{}, schedule.BinomialTree},
		{collective.CallBroadcast, 256 << 10, one, collective.Options{}, schedule.Pipeline},
		{collective.CallReduce, 4096, two, collective.Options{}, schedule.HierarchicalTree},
		{collective.CallBarrier, 0, two, collective.Options{}, schedule.HierarchicalTree},
		{collective.CallBarrier, 0, one, collective.Options{}, schedule.Dissemination},
		{collective.CallAllToAll, 4096, one, collective.Options{}, schedule.Bruck},
		{collective.CallAllToAll, 64 << 20, two, collective.Options{}, schedule.Pairwise},
		{collective.CallGatherV, 64 << 20, two, collective.Options{}, schedule.BinomialTree},
	} {
		if got := collective.Choose(c.call, c.bytes, c.hosts, c.opt); got != c.want {
			t.Errorf("%v of %d bytes among %d ranks on %d hosts, %q: %v, want %v", c.call, c.bytes, c.hosts.Ranks(), c.hosts.Count(), c.opt.Algorithm, got, c.want)
		}
	}
}

// A rank that would do a call in another way is told, and so are all others, in words
// that say both.
func TestOtherWaysAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		odd, usual collective.Options
		both       [2]string
	}{
		"algorithm": {collective.Options{Algorithm: collective.Ring}, collective.Options{}, [2]string{"ring", "rabenseifner"}},
		"hosts":     {collective.Options{Hosts: []int{0, 0, 1, 1}}, collective.Options{Hosts: []int{0, 1, 0, 1}}, [2]string{"hosts with the checksum", "hierarchical"}},
		"one host":  {collective.Options{}, collective.Options{Hosts: []int{0, 1, 2, 3}}, [2]string{"hosts with the checksum", "rabenseifner"}},
		"wire":      {collective.Options{Wire: collective.TypeBF16}, collective.Options{}, [2]string{" of 40000 f32 as bf16 (", " of 40000 f32 ("}},
	} {
		for odd := range 4 {
			inBubble(t, name, func(t *testing.T) {
				errs := make(chan error, 4)
				for r, tr := range mem.New(4) {
					opt := c.usual
					if r == odd {
						opt = c.odd
					}
					comm, err := collective.New(tr, opt)
					if err != nil {
						t.Fatal(err)
					}
					go func() {
						err := comm.AllReduce(context.Background(), collective.F32(make([]float32, 40_000)), collective.Sum)
						errs <- errors.Join(err, comm.Close())
					}()
				}
				for range 4 {
					var m *collective.MismatchError
					if err := <-errs; !errors.As(err, &m) || !strings.Contains(err.Error(), c.both[0]) || !strings.Contains(err.Error(), c.both[1]) {
						t.Errorf("rank %d differs: %v", odd, err)
					}
				}
			})
		}
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	for want, opt := range map[string]collective.Options{
		`algorithm "fastest" is none of [auto ring`: {Algorithm: "fastest"},
		"f32 cannot be reduced as f16 on the wire":  {Wire: collective.TypeF16},
		"hosts of 3 ranks are given for 2":          {Hosts: []int{0, 0, 1}},
	} {
		for _, tr := range mem.New(2) {
			if _, err := collective.New(tr, opt); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
}
