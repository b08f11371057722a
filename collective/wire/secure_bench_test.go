package wire

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"vgid/collective"
)

// pairs are the ways that BenchmarkSecured compares; the first is what the others are held
// against.
var pairs = []struct {
	name string
	way
}{{"plain", way{none, false, none}}, {"tls", way{none, true, none}}, {"stock", way{all, false, none}}, {"stock-tls", way{all, true, none}}}

// BenchmarkSecured all-reduces 16 MiB between two ranks, plain and over TLS in turn, so that
// what else the machine does meets them alike. It reports medians in ns, and the processor
// time of both ranks in ns for each byte that a ring sends.
func BenchmarkSecured(b *testing.B) {
	const bytes = 16 << 20
	type world struct {
		comms [2]*collective.Comm
		bufs  [2][]float32
		took  []time.Duration
		cpu   time.Duration
	}
	worlds := make([]world, len(pairs))
	for i, p := range pairs {
		for r, t := range connected(b, 2, p.way) {
			c, err := collective.New(t, collective.Options{Job: "test"})
			if err != nil {
				b.Fatal(err)
			}
			worlds[i].comms[r], worlds[i].bufs[r] = c, make([]float32, bytes/4)
			defer c.Close()
		}
	}
	round := func(w *world) {
		var wg sync.WaitGroup
		begin, cpu := time.Now(), processorTime(b)
		for r, c := range w.comms {
			wg.Go(func() {
				if err := c.AllReduce(context.Background(), collective.F32(w.bufs[r]), collective.Sum); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		w.took = append(w.took, time.Since(begin))
		w.cpu += processorTime(b) - cpu
	}
	for i := range worlds { // fills pools
		round(&worlds[i])
		worlds[i] = world{comms: worlds[i].comms, bufs: worlds[i].bufs}
	}
	for b.Loop() {
		for i := range worlds {
			round(&worlds[i])
		}
	}
	median := func(w *world) float64 { slices.Sort(w.took); return float64(w.took[len(w.took)/2]) }
	for i := range worlds {
		w, name := &worlds[i], pairs[i].name
		b.ReportMetric(median(w)/1e6, name+"-ms")
		b.ReportMetric(float64(w.cpu)/float64(len(w.took))/(2*bytes), name+"-cpu-ns/B")
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
