package collbench

import (
	"math"
	"strings"
	"testing"
	"time"

	"vgid/collective"
	"vgid/collective/netlab"
)

// The costs that are found give back the times that they were found from.
func TestFit(t *testing.T) {
	free := Estimate{Network: netlab.Spec{Rate: 400e9}}
	for _, n := range []int{2, 3, 4, 8} {
		for _, want := range []HostCost{{Procs: n, Frame: 10e-6, PerByte: 0.3e-9}, {Procs: n, Frame: 200e-6, PerByte: 2e-9}} {
			times := [2]float64{}
			for i, bytes := range []int{shortFit, longFit} {
				var err error
				if _, times[i], err = timeOf(n, bytes, collective.Auto, free.net(want)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := fit(n, times[0], times[1])
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(got.Frame/want.Frame-1) > 0.01 || math.Abs(got.PerByte/want.PerByte-1) > 0.01 {
				t.Errorf("%+v from the times of %+v", got, want)
			}
		}
	}
}

// Where nothing is measured, a wait is only as long as the model says: bytes on the link, and delays.
func TestRows(t *testing.T) {
	e := Estimate{Network: netlab.Spec{Rate: 8e9 * wirePerByte, Delay: time.Millisecond}, Algorithms: []collective.Algorithm{collective.Ring, collective.Doubling}}
	rows, err := e.rows(t.Context(), Payload{Name: "p", Bytes: 64 << 20}, 8, e.net(HostCost{}))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].Algorithm != "ring" || rows[1].Algorithm != "doubling" || !rows[0].Chosen || rows[1].Chosen {
		t.Fatalf("rows %+v", rows)
	}
	// The link carries a byte in a nanosecond: the ring is 2·7/8 of the bytes, the doubling 3 times all of them.
	for i, want := range []float64{1.75 * 64 * (1 << 20) / 1e9, 3 * 64 * (1 << 20) / 1e9} {
		if got := rows[i].Seconds; got < want || got > 1.1*want+14e-3 {
			t.Errorf("%s takes %v s, of which the bytes take %v", rows[i].Algorithm, got, want)
		}
	}
	var b strings.Builder
	if err := (Estimates{Network: e.Network, Rows: rows}).Table(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "doubling") || !strings.Contains(b.String(), "nodes       ring") {
		t.Errorf("the table:\n%s", b.String())
	}
}

func TestEstimateChecks(t *testing.T) {
	net := netlab.Spec{Rate: 1e9}
	ring := []collective.Algorithm{collective.Ring}
	for name, e := range map[string]Estimate{
		"no rate":       {Algorithms: ring},
		"one node":      {Network: net, Procs: []int{1}, Algorithms: ring},
		"many nodes":    {Network: net, Ranks: []int{1 << 20}, Algorithms: ring},
		"odd size":      {Network: net, Sizes: []int{5}, Algorithms: ring},
		"empty payload": {Network: net, Payloads: []Payload{{Name: "x"}}, Algorithms: ring},
		"no algorithm":  {Network: net},
	} {
		if _, err := Predict(t.Context(), e); err == nil || !strings.HasPrefix(err.Error(), "bench predict: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
