package collbench

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"vgid/collective/netlab"
	"vgid/model/kit/bytesize"
	"vgid/model/kit/measure"
	"vgid/model/kit/measure/bench"
)

// Result is what Run measured.
type Result struct {
	Turns int `json:"turns"` // rounds of all programs
	// Network is what the processes spoke over; nil: the loopback.
	Network *netlab.Spec `json:"network,omitempty"`
	Rows    []Row        `json:"rows"`
	Starts  []Start      `json:"starts"`
}

// Start is how the processes of a program began, and what they took.
type Start struct {
	Transport string `json:"transport,omitempty"` // of ours
	Asked     string `json:"algorithm_asked,omitempty"`
	Peer      string `json:"peer"`              // else
	Version   string `json:"version,omitempty"` // of the peer
	Procs     int    `json:"procs"`
	// Seconds from the start of the first process until all have connected and met in
	// a barrier; the start of each process is in it.
	Seconds     float64 `json:"seconds"`
	Connections int     `json:"connections,omitempty"` // of ours: of the rank with the most, at the end
	Shared      int     `json:"shared,omitempty"`      // of those, through shared memory
	Peak        int64   `json:"peak_rss_bytes"`        // of the largest process
}

// Row is one call of one size among a number of processes, by one way of ours, beside one peer if there are any.
// Times are of the slowest rank, in seconds; bandwidths in bytes per second.
type Row struct {
	Call      string `json:"call"`
	DType     string `json:"dtype"`
	Transport string `json:"transport"`
	Algorithm string `json:"algorithm"`       // that was used; empty for messages
	Asked     string `json:"algorithm_asked"` // one of Algorithms
	Procs     int    `json:"procs"`
	Bytes     int    `json:"bytes"`  // of the longest buffer of a rank
	Rounds    int    `json:"rounds"` // calls that were timed, in all turns
	// P50 is the median over the turns of the median within a turn; P99 is of all calls.
	P50 float64 `json:"p50_seconds"`
	P99 float64 `json:"p99_seconds"`
	// AlgBW is Bytes/P50; BusBW is that times a factor of the call, for all-reduce 2(n-1)/n, and does not
	// depend on the number of ranks when the links are the limit (nccl-tests,
	// doc/PERFORMANCE.md).
	AlgBW float64 `json:"algbw"`
	BusBW float64 `json:"busbw"`
	// CPUPerByte is processor time of all ranks, in nanoseconds, per byte that has to go over
	// the wire: 2(n-1)·Bytes in all for all-reduce.
	CPUPerByte float64 `json:"cpu_ns_per_wire_byte"`

	Peer string `json:"peer"` // empty: none
	// PeerP50 and PeerCPUPerByte are the same figures of the peer. Ratio is the median over the turns of the peer's median
	// over ours: above 1, ours is faster. They are absent where the peer has no such call, and PeerLacks
	// says why.
	PeerP50        float64 `json:"peer_p50_seconds,omitempty"`
	PeerCPUPerByte float64 `json:"peer_cpu_ns_per_wire_byte,omitempty"`
	Ratio          float64 `json:"ratio,omitempty"`
	PeerLacks      string  `json:"peer_lacks,omitempty"`
}

// median is the middle time of a turn: what a training step usually waits.
func median(s sample) float64 { return measure.Median(s.Seconds) }

// row computes the figures of ours.
func (c cell) row(by way, p *program) Row {
	var seconds []float64
	for _, s := range p.Rounds {
		seconds = append(seconds, s.Seconds...)
	}
	slices.Sort(seconds)
	bytes := c.count * c.dtype.Size()
	bus, _ := c.call.traffic(c.procs)
	r := Row{Call: c.call.name, DType: c.dtype.String(), Transport: by.Transport, Algorithm: p.algorithm, Asked: by.Algorithm, Procs: c.procs, Bytes: bytes, Rounds: len(seconds),
		P50: p.Median(median), P99: seconds[min(len(seconds)-1, len(seconds)*99/100)], CPUPerByte: c.cpu(p)}
	if c.call.moves() {
		r.AlgBW = float64(bytes) / r.P50
		r.BusBW = r.AlgBW * bus
	}
	return r
}

// cpu is the processor time of a byte on the wire, in nanoseconds; 0 where there are none.
func (c cell) cpu(p *program) float64 {
	_, wire := c.call.traffic(c.procs)
	spent, calls := 0.0, 0
	for _, s := range p.Rounds {
		spent, calls = spent+s.CPU, calls+len(s.Seconds)
	}
	if wire *= float64(c.count*c.dtype.Size()) * float64(calls); wire == 0 {
		return 0
	}
	return spent * 1e9 / wire
}

// beside adds a peer's figures.
func (c cell) beside(r Row, mine *program, name string, other *program) Row {
	r.Peer = name
	if r.PeerLacks = other.lacks; other.lacks != "" {
		return r
	}
	r.PeerP50, r.PeerCPUPerByte, r.Ratio = other.Median(median), c.cpu(other), other.Ratio(&mine.Program, median)
	return r
}

// Table prints the result for people: a table for each call and number of processes.
func (r Result) Table(to io.Writer) error {
	var peers []string
	for _, x := range r.Rows {
		if x.Peer != "" && !slices.Contains(peers, x.Peer) {
			peers = append(peers, x.Peer)
		}
	}
	fmt.Fprintf(to, "%s, sums, over %s; medians of %d turns of all programs, the %s time\n", r.Rows[0].DType, r.over(), r.Turns, r.whose())
	if len(peers) > 0 {
		fmt.Fprintln(to, "ratio: the peer's time over ours; above 1, ours is faster")
	}
	for rest := r.Rows; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Call == rest[0].Call && rest[n].Procs == rest[0].Procs {
			n++
		}
		if err := table(to, rest[:n], peers); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return r.starts(to)
}

// whose time the figures are.
func (r Result) whose() string {
	if r.Network == nil {
		return "slowest rank's"
	}
	return "ranks' mean"
}

// over names the network.
func (r Result) over() string {
	if r.Network == nil {
		return "loopback"
	}
	return r.Network.String()
}

// table is that of one call among a number of processes; the rows of one measurement of ours, beside all
// peers, are one line.
func table(to io.Writer, rows []Row, peers []string) error {
	t := bench.Table{Right: true}
	t.Titlef("\n%s, %d processes\n", rows[0].Call, rows[0].Procs)
	head := "size\ttransport\talgorithm\tp50\tp99\tbusbw GB/s\tCPU ns/B"
	for _, p := range peers {
		head += "\t" + p + "\tratio"
	}
	t.Rowf("%s", head)
	var why []string
	for each := max(1, len(peers)); len(rows) > 0; rows = rows[each:] {
		x := rows[0]
		line := []string{sizeText(x.Bytes), x.Transport, x.algorithm(), timeText(x.P50), timeText(x.P99), figure(x.BusBW / 1e9), figure(x.CPUPerByte)}
		if x.BusBW == 0 {
			line[0], line[5], line[6] = "–", "–", "–"
		}
		for _, x := range rows[:each] {
			switch {
			case x.Peer == "":
			case x.PeerLacks != "":
				line = append(line, "–", "–")
				if s := fmt.Sprintf("  %s: %s\n", x.Peer, x.PeerLacks); !slices.Contains(why, s) {
					why = append(why, s)
				}
			default:
				line = append(line, timeText(x.PeerP50), figure(x.Ratio))
			}
		}
		t.Rowf("%s", strings.Join(line, "\t"))
	}
	if err := t.Write(to); err != nil {
		return err
	}
	_, err := io.WriteString(to, strings.Join(why, ""))
	return err
}

// algorithm says also how it came about, where that is not the same.
func (r Row) algorithm() string {
	switch r.Algorithm {
	case "":
		return "–"
	case r.Asked:
		return r.Algorithm
	}
	return fmt.Sprintf("%s (%s)", r.Algorithm, r.Asked)
}

// starts prints a line for each program and number of processes.
func (r Result) starts(to io.Writer) error {
	for i, s := range r.Starts {
		line := fmt.Sprintf("%s: %d processes had met after %.2f s", s.name(), s.Procs, s.Seconds)
		if s.Transport != "" {
			line += fmt.Sprintf("; connections of a rank: at most %d", s.Connections)
			if s.Shared > 0 {
				line += fmt.Sprintf(", through shared memory %d", s.Shared)
			}
		}
		line += "; largest process " + bytesize.Binary(s.Peak).String()
		if s.Version != "" {
			line += " (" + s.Version + ")"
		}
		if i == 0 {
			line = "\n" + line
		}
		if _, err := fmt.Fprintln(to, line); err != nil {
			return err
		}
	}
	return nil
}

func (s Start) name() string {
	if s.Peer != "" {
		return s.Peer
	}
	return way{s.Transport, s.Asked}.String()
}

// sizeText leaves the decimal of whole units out.
func sizeText(n int) string { return strings.Replace(bytesize.Binary(n).String(), ".0 ", " ", 1) }

func figure(v float64) string { return fmt.Sprintf("%.2f", v) }

// timeText has microseconds below a millisecond, as latencies of small sizes are.
func timeText(s float64) string {
	if s < 1e-3 {
		return fmt.Sprintf("%.0f µs", s*1e6)
	}
	return fmt.Sprintf("%.2f ms", s*1e3)
}
