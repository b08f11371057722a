package collbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"vgid/collective"
	"vgid/collective/netlab"
	"vgid/collective/predict"
	"vgid/collective/schedule"
	"vgid/model/kit/bytesize"
	"vgid/model/kit/measure/bench"
)

// Estimate says what to estimate, and where estimates are to be compared with measured times.
type Estimate struct {
	Network netlab.Spec // its number of nodes does not matter
	// Procs and Sizes are what is measured on such a network, one process on each node; none: nothing is compared.
	Procs, Sizes []int
	Ranks        []int     // numbers of nodes whose times are estimated
	Payloads     []Payload // what is reduced there
	Algorithms   []collective.Algorithm
	Rounds       int
	PerSize      time.Duration
}

// Payload is something that is reduced, in bytes.
type Payload struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

// Estimates is what Predict gives.
type Estimates struct {
	Network netlab.Spec `json:"network"`
	Hosts   []HostCost  `json:"hosts"`
	Points  []Point     `json:"points"`
	Rows    []Estimated `json:"rows"`
}

// HostCost is what sending and receiving costs the processors of this machine where so many processes share them:
// seconds for a frame at each end, and for each of its bytes.
type HostCost struct {
	Procs   int     `json:"procs"`
	Frame   float64 `json:"frame_seconds"`
	PerByte float64 `json:"byte_seconds"`
}

// Point is an all-reduce that was estimated and measured.
type Point struct {
	Procs     int     `json:"procs"`
	Bytes     int     `json:"bytes"`
	Algorithm string  `json:"algorithm"`
	Estimated float64 `json:"estimated_seconds"`
	Measured  float64 `json:"measured_seconds"`
	// Error is (Estimated-Measured)/Measured.
	Error float64 `json:"error"`
}

// Estimated is an all-reduce of a payload among so many nodes.
type Estimated struct {
	Payload   string  `json:"payload"`
	Bytes     int     `json:"bytes"`
	Ranks     int     `json:"ranks"`
	Algorithm string  `json:"algorithm"`
	Chosen    bool    `json:"chosen"` // the one that is taken unless another is asked for
	Seconds   float64 `json:"seconds"`
}

// Two sizes that tell the costs of a frame and of a byte apart.
const shortFit, longFit = 4 << 10, 64 << 20

// Predict measures what the ends of a transfer cost on this machine, on a network without limits, and estimates from
// that, and from what the network is said to be, how long all-reduces take; on networks of a few nodes it measures
// them as well. An error where no such network can be made.
func Predict(ctx context.Context, e Estimate) (out Estimates, err error) {
	if err := e.check(); err != nil {
		return out, fmt.Errorf("bench predict: %w", err)
	}
	out.Network = e.Network
	for _, n := range e.fits() {
		h, err := e.host(ctx, n)
		if err != nil {
			return out, fmt.Errorf("bench predict: %w", err)
		}
		out.Hosts = append(out.Hosts, h)
	}
	for _, h := range out.Hosts {
		if slices.Contains(e.Procs, h.Procs) && len(e.Sizes) > 0 {
			points, err := e.compare(ctx, h)
			if err != nil {
				return out, fmt.Errorf("bench predict: %w", err)
			}
			out.Points = append(out.Points, points...)
		}
	}
	// On a cluster each node has processors of its own, as nearly as two processes have them here.
	net := e.net(out.Hosts[0])
	for _, p := range e.Payloads {
		for _, n := range e.Ranks {
			rows, err := e.rows(ctx, p, n, net)
			if err != nil {
				return out, fmt.Errorf("bench predict: %w", err)
			}
			out.Rows = append(out.Rows, rows...)
		}
	}
	return out, nil
}

func (e *Estimate) check() error {
	spec := e.Network
	spec.Nodes = 2
	if err := spec.Check(); err != nil {
		return err
	}
	for _, n := range e.Procs {
		if n < 2 || n > netlab.MaxNodes {
			return fmt.Errorf("%d nodes to measure, want 2 … %d", n, netlab.MaxNodes)
		}
	}
	for _, n := range e.Ranks {
		if n < 2 || n > 1<<12 {
			return fmt.Errorf("%d nodes to estimate, want 2 … %d", n, 1<<12)
		}
	}
	for _, s := range e.Sizes {
		if s < 4 || s%4 != 0 {
			return fmt.Errorf("size %d is not a positive multiple of 4 bytes", s)
		}
	}
	for _, p := range e.Payloads {
		if p.Bytes < 4 {
			return fmt.Errorf("payload %s has %d bytes", p.Name, p.Bytes)
		}
	}
	if len(e.Algorithms) == 0 {
		return errors.New("no algorithms to estimate")
	}
	return nil
}

// fits are the numbers of processes whose costs are measured: two first.
func (e *Estimate) fits() []int {
	out := []int{2}
	for _, n := range e.Procs {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// host measures the costs of n processes: on links of no delay and as fast as there are, where what is left is theirs.
func (e *Estimate) host(ctx context.Context, n int) (HostCost, error) {
	free := netlab.Spec{Rate: 400e9}
	r, err := Run(ctx, Options{Procs: []int{n}, Sizes: []int{shortFit, longFit}, Network: &free, Rounds: e.Rounds, PerSize: e.PerSize})
	if err != nil {
		return HostCost{}, err
	}
	return fit(n, r.Rows[0].P50, r.Rows[1].P50)
}

// fit finds the costs with which the model gives the two times.
func fit(n int, short, long float64) (HostCost, error) {
	h := HostCost{Procs: n}
	free := Estimate{Network: netlab.Spec{Rate: 400e9}}
	var err error
	solve := func(v *float64, most float64, bytes int, want float64) {
		lo, hi := 0.0, most
		for range 50 {
			*v = (lo + hi) / 2
			_, got, terr := timeOf(n, bytes, collective.Auto, free.net(h))
			if terr != nil {
				err = terr
				return
			}
			if got > want {
				hi = *v
			} else {
				lo = *v
			}
		}
	}
	// The one hardly depends on the other, so a few rounds of each in turn end at both.
	for range 4 {
		solve(&h.Frame, short, shortFit, short)
		solve(&h.PerByte, long/longFit*2, longFit, long)
	}
	return h, err
}

// Segments of Ethernet hold 1448 bytes of data and take 1538 on the wire.
const wirePerByte = 1538.0 / 1448

// net is the model of the network with such hosts.
func (e *Estimate) net(h HostCost) predict.Net {
	return predict.Net{
		Alpha: e.Network.Delay.Seconds(), Beta: 8 / e.Network.Rate * wirePerByte,
		Send: h.Frame, Take: h.Frame, SendByte: h.PerByte, TakeByte: h.PerByte,
		Chunk: 1 << 20, Header: 64 + 5 + 9, // ours, gRPC's and HTTP/2's
	}
}

// timeOf estimates an all-reduce, and says which algorithm it takes.
func timeOf(n, bytes int, by collective.Algorithm, net predict.Net) (schedule.Algorithm, float64, error) {
	hosts := schedule.Apart(n)
	algorithm := collective.Choose(collective.CallAllReduce, bytes, hosts, collective.Options{Algorithm: by})
	// More frames than this in a message change nothing but the time that the estimate takes.
	net.Chunk = max(net.Chunk, bytes/n/32)
	d, err := predict.Time(n, func(rank int) schedule.Plan {
		return collective.PlanOf(collective.CallAllReduce, algorithm, rank, 0, hosts)
	}, func(block, blocks int) int {
		lo, hi := schedule.Segment(bytes/4, blocks, block)
		return 4 * (hi - lo)
	}, net)
	return algorithm, d.Seconds(), err
}

// compare measures on the network, and estimates the same.
func (e *Estimate) compare(ctx context.Context, h HostCost) ([]Point, error) {
	r, err := Run(ctx, Options{Procs: []int{h.Procs}, Sizes: e.Sizes, Network: &e.Network, Rounds: e.Rounds, PerSize: e.PerSize})
	if err != nil {
		return nil, err
	}
	var points []Point
	for _, row := range r.Rows {
		by, t, err := timeOf(h.Procs, row.Bytes, collective.Auto, e.net(h))
		if err != nil {
			return nil, err
		}
		points = append(points, Point{Procs: h.Procs, Bytes: row.Bytes, Algorithm: by.String(), Estimated: t, Measured: row.P50, Error: t/row.P50 - 1})
	}
	return points, nil
}

// rows estimates a payload among n nodes by each algorithm.
func (e *Estimate) rows(ctx context.Context, p Payload, n int, net predict.Net) ([]Estimated, error) {
	var out []Estimated
	chosen := collective.Choose(collective.CallAllReduce, p.Bytes, schedule.Apart(n), collective.Options{})
	for _, by := range e.Algorithms {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		a, t, err := timeOf(n, p.Bytes, by, net)
		if err != nil {
			return nil, err
		}
		out = append(out, Estimated{Payload: p.Name, Bytes: p.Bytes, Ranks: n, Algorithm: a.String(), Chosen: a == chosen, Seconds: t})
	}
	return out, nil
}

// Table prints the estimates for people.
func (x Estimates) Table(to io.Writer) error {
	fmt.Fprintf(to, "float32 all-reduce over %v, one process on each node\n\n", x.Network)
	for _, h := range x.Hosts {
		fmt.Fprintf(to, "here %d processes pay %s for a frame at each end and %.2f ns for each of its bytes\n", h.Procs, timeText(h.Frame), h.PerByte*1e9)
	}
	if len(x.Points) > 0 {
		t := bench.Table{Right: true}
		t.Titlef("\nestimated and measured\n")
		t.Rowf("nodes\tsize\talgorithm\testimated\tmeasured\terror")
		for _, p := range x.Points {
			t.Rowf("%d\t%s\t%s\t%s\t%s\t%+.1f %%", p.Procs, sizeText(p.Bytes), p.Algorithm, timeText(p.Estimated), timeText(p.Measured), 100*p.Error)
		}
		if err := t.Write(to); err != nil {
			return err
		}
	}
	for rest := x.Rows; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Payload == rest[0].Payload {
			n++
		}
		if err := estimates(to, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// estimates is the table of one payload: a line for each number of nodes.
func estimates(to io.Writer, rows []Estimated) error {
	t := bench.Table{Right: true}
	t.Titlef("\nestimated: %s, %v\n", rows[0].Payload, bytesize.Binary(rows[0].Bytes))
	var head string
	for i := 0; i < len(rows) && rows[i].Ranks == rows[0].Ranks; i++ {
		head += "\t" + rows[i].Algorithm
	}
	t.Rowf("nodes%s\tbest", head)
	for len(rows) > 0 {
		line, best, least, n := fmt.Sprint(rows[0].Ranks), "", math.Inf(1), 0
		for ; n < len(rows) && rows[n].Ranks == rows[0].Ranks; n++ {
			line += "\t" + longTime(rows[n].Seconds)
			if rows[n].Seconds < least {
				best, least = rows[n].Algorithm, rows[n].Seconds
			}
		}
		t.Rowf("%s\t%s", line, best)
		rows = rows[n:]
	}
	return t.Write(to)
}

// longTime has seconds where milliseconds have too many digits.
func longTime(s float64) string {
	if s >= 10 {
		return fmt.Sprintf("%.1f s", s)
	}
	return timeText(s)
}
