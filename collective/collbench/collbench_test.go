package collbench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vgid/collective"
	"vgid/model/kit/measure/bench"
)

var update = flag.Bool("update", false, "write the goldens anew")

// fakePeer in the environment makes this program a peer that answers as the one in testdata do, or fails
// in the way that its value names.
const fakePeer = "VGID_COLLBENCH_FAKE"

func TestMain(m *testing.M) {
	if ran, err := WorkerMain(); ran {
		exit(err)
	}
	if how, ok := os.LookupEnv(fakePeer); ok {
		exit(fake(how))
	}
	os.Exit(m.Run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// fake is a peer whose calls take exactly ten seconds, as it says.
func fake(how string) error {
	if how == "absent" {
		return errors.New("no such library")
	}
	return bench.Answer(os.Stdin, os.Stdout, hello{Version: "fake 1"}, func(words []string) (any, error) {
		t, err := parseTask(words)
		switch {
		case err != nil:
			return nil, err
		case how == "wrong":
			return answer{Error: "wrong result"}, nil
		case how == "dies":
			return nil, errors.New("out of luck")
		case how == "hangs":
			// Where it can be found.
			if err := os.WriteFile(os.Getenv("PIDS")+"/"+strconv.Itoa(os.Getpid()), nil, 0o600); err != nil {
				return nil, err
			}
			select {}
		case t.Call.kind == barrier:
			return answer{Lacks: "it knows no barrier"}, nil
		}
		return answer{Seconds: slices.Repeat([]float64{10}, t.Rounds), CPU: 1, Peak: 1 << 20}, nil
	})
}

func TestEveryCallByEveryTransport(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	r, err := Run(ctx, Options{Procs: []int{3}, Sizes: []int{4096, 200_000}, Calls: Calls(), Transports: Transports, Rounds: 1, PerSize: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	moving := 0
	for _, c := range calls {
		if c.moves() {
			moving++
		}
	}
	if want := len(Transports) * (2*moving + len(calls) - moving); len(r.Rows) != want || len(r.Starts) != len(Transports) {
		t.Fatalf("%d rows and %d starts, want %d rows", len(r.Rows), len(r.Starts), want)
	}
	for _, x := range r.Rows {
		if x.Rounds < fewest || x.P50 <= 0 || x.P99 < x.P50 || x.Peer != "" || x.Ratio != 0 || (x.BusBW > 0) != (x.Bytes > 0) {
			t.Errorf("%+v", x)
		}
	}
	for i, s := range r.Starts {
		if s.Transport != Transports[i] || s.Procs != 3 || s.Seconds <= 0 || s.Connections != 2 || (s.Shared == 2) != (i < 2) || s.Peak <= 0 {
			t.Errorf("%+v", s)
		}
	}
}

// A row says what was used, whatever was asked for.
func TestAlgorithms(t *testing.T) {
	r, err := Run(t.Context(), Options{Procs: []int{4}, Sizes: []int{4096, 1 << 20, 2 << 20}, Calls: []string{"all-reduce", "broadcast", "send-recv"},
		Algorithms: Algorithms, Rounds: 1, PerSize: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, x := range r.Rows {
		got[x.Call+" "+x.Asked] += x.Algorithm + " "
	}
	for key, want := range map[string]string{
		"all-reduce auto": "doubling rabenseifner ring ", "all-reduce ring": "ring ring ring ", "all-reduce doubling": "doubling doubling doubling ",
		"broadcast auto": "tree chain chain ", "broadcast ring": "chain chain chain ", "send-recv auto": "   ",
	} {
		if got[key] != want {
			t.Errorf("%s: %s, want %s", key, got[key], want)
		}
	}
}

// The values that the programs put in are whole numbers whose sums every type holds.
func TestEveryType(t *testing.T) {
	for _, dtype := range []string{"f64", "bf16", "f16", "i32", "i64", "u8"} {
		r, err := Run(t.Context(), Options{Procs: []int{3}, Sizes: []int{4200}, Calls: []string{"all-reduce", "reduce-scatter-v"}, DType: dtype, Rounds: 1, PerSize: time.Millisecond})
		if err != nil || len(r.Rows) != 2 || r.Rows[0].DType != dtype {
			t.Errorf("%s: %v, %+v", dtype, err, r.Rows)
		}
	}
}

func TestRowFollowsNCCLTests(t *testing.T) {
	c := cell{call{"all-reduce", allReduce, false}, collective.TypeF32, 4, 250}
	p := &program{}
	p.Rounds = []sample{{Seconds: []float64{3, 1, 2}, CPU: 4e-6}, {Seconds: []float64{4, 2, 2}, CPU: 2e-6}}
	r := c.row(way{"grpc", "auto"}, p)
	if r.P50 != 2 || r.P99 != 4 || r.AlgBW != 500 || r.BusBW != 750 || r.Rounds != 6 {
		t.Errorf("%+v", r)
	}
	if want := 6e-6 * 1e9 / (2 * 3 * 1000 * 6); math.Abs(r.CPUPerByte-want) > 1e-12 {
		t.Errorf("CPU %v ns/B, want %v", r.CPUPerByte, want)
	}
	other := &program{}
	other.Rounds = []sample{{Seconds: []float64{6}}, {Seconds: []float64{10}}}
	if r = c.beside(r, p, "other", other); r.Ratio != 4 || r.PeerP50 != 8 || r.P50 != 2 {
		t.Errorf("%+v", r)
	}
}

// nccl-tests' doc/PERFORMANCE.md gives the factors for n ranks.
func TestBusBandwidthFactors(t *testing.T) {
	want := map[string]float64{"all-reduce": 1.5, "reduce-scatter": 0.75, "all-gather": 0.75, "broadcast": 1, "reduce": 1,
		"gather": 0.75, "scatter": 0.75, "all-to-all": 0.75, "send-recv": 1, "barrier": 0, "split": 0}
	for _, c := range calls {
		if bus, _ := c.traffic(4); bus != want[strings.TrimSuffix(c.name, "-v")] {
			t.Errorf("%s: %v", c.name, bus)
		}
	}
}

// What goes out of all ranks in a call is what comes in.
func TestShapesFitTogether(t *testing.T) {
	for _, c := range calls {
		for n := 2; n < 6; n++ {
			count := c.whole(1000, n)
			for r := range n {
				s, sum := c.shape(count, r, n), 0
				for _, p := range s.comesOut {
					sum += p.count
					for from := range n {
						if in := c.shape(count, from, n).in; (p.from == from || p.from == all) && p.start+p.count > in {
							t.Errorf("%s: rank %d of %d gets %+v of rank %d, which has %d", c.name, r, n, p, from, in)
						}
					}
				}
				if sum != s.out && c.moves() {
					t.Errorf("%s: rank %d of %d gets %d elements, its buffer has %d", c.name, r, n, sum, s.out)
				}
			}
		}
	}
}

func TestWrongResultsAreFound(t *testing.T) {
	const n, count = 3, 20_000
	b := aligned(4 * count)
	fill(b, collective.TypeF32, all, n, 0)
	want := []piece{{all, 0, 9000}, {all, 9000, count - 9000}}
	if err := check(b, collective.TypeF32, want, n); err != nil {
		t.Error(err)
	}
	b[4*15_000+2] ^= 1
	if err := check(b, collective.TypeF32, want, n); err == nil || !strings.HasPrefix(err.Error(), "element 15000 is ") {
		t.Errorf("%v", err)
	}
}

func TestRunRefusesNonsense(t *testing.T) {
	for want, o := range map[string]Options{
		"1 processes asked for, want 2 … 256":   {Procs: []int{1}},
		"44 processes asked for, want 2 … 42":   {Procs: []int{44}, DType: "bf16"},
		"size 6 is not a positive":              {Sizes: []int{6}},
		`transport "udp" is none of auto`:       {Transports: []string{"udp"}},
		`call "all" is none of all-reduce, red`: {Calls: []string{"all"}},
		`peer "nccl" is none of gloo, openmpi`:  {Peers: []string{"nccl"}},
		`algorithm "best" is none of auto`:      {Algorithms: []string{"best"}},
		`element type "bytes" is none of f32`:   {DType: "bytes"},
	} {
		if _, err := Run(t.Context(), o); err == nil || !strings.HasPrefix(err.Error(), "bench collective: "+want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// beFake has Gloo's place taken by this program.
func beFake(t *testing.T, how string) Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(fakePeer, how)
	return Options{Procs: []int{2}, Sizes: []int{4096}, Peers: []string{"gloo"}, Python: self, Rounds: 2, PerSize: 2 * time.Millisecond}
}

func TestBesideAPeer(t *testing.T) {
	o := beFake(t, "well")
	o.Calls = []string{"all-reduce", "barrier"}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 2 {
		t.Fatalf("%+v", r.Rows)
	}
	if x := r.Rows[0]; x.Peer != "gloo" || x.PeerP50 != 10 || x.Ratio < 1 || x.P50 >= 10 || x.PeerLacks != "" {
		t.Errorf("%+v", x)
	}
	if x := r.Rows[1]; x.Peer != "gloo" || x.PeerLacks != "it knows no barrier" || x.Ratio != 0 || x.P50 <= 0 {
		t.Errorf("%+v", x)
	}
	if s := r.Starts[1]; s.Peer != "gloo" || s.Version != "fake 1" || s.Peak != 1<<20 {
		t.Errorf("%+v", s)
	}
}

func TestPeersThatFail(t *testing.T) {
	for how, want := range map[string]string{
		"wrong":  "bench collective: gloo: rank ",
		"dies":   "bench collective: gloo: rank ",
		"absent": "bench collective: peer gloo: rank ",
	} {
		_, err := Run(t.Context(), beFake(t, how))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", how, err)
		}
		var missing *PeerError
		if errors.As(err, &missing) != (how == "absent") {
			t.Errorf("%s: %T", how, err)
		}
	}
	_, err := Run(t.Context(), Options{Peers: []string{"gloo"}})
	if want := "bench collective: peer gloo: no Python is named; it takes a Python that has PyTorch (pip install torch)"; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	t.Setenv("PATH", t.TempDir())
	_, err = Run(t.Context(), Options{Peers: []string{"openmpi"}})
	if err == nil || !strings.Contains(err.Error(), "openmpi-bin and libopenmpi-dev") {
		t.Errorf("%v", err)
	}
}

// Whoever asks for an end leaves no process behind.
func TestNoPeerOutlivesTheBench(t *testing.T) {
	o := beFake(t, "hangs")
	pids := t.TempDir()
	t.Setenv("PIDS", pids)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	go func() {
		for {
			if found, err := os.ReadDir(pids); err != nil || len(found) == 2 {
				cancel(why)
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if _, err := Run(ctx, o); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	found, err := os.ReadDir(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		pid, err := strconv.Atoi(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there (%v)", pid, err)
		}
	}
}

// sample is a result with everything that a report may show.
func example() Result {
	row := Row{Call: "all-reduce", DType: "f32", Transport: "grpc", Algorithm: "ring", Asked: "auto", Procs: 2, Bytes: 1 << 20, Rounds: 100, P50: 3.2e-4, P99: 2e-3, AlgBW: 3.2e9, BusBW: 3.2e9,
		CPUPerByte: 0.5, Peer: "gloo", PeerP50: 6.4e-4, PeerCPUPerByte: 0.75, Ratio: 2}
	mpi, stock := row, row
	mpi.Peer, mpi.PeerP50, mpi.Ratio = "openmpi", 1.6e-4, 0.5
	stock.Transport, stock.Asked, stock.P50, stock.Ratio = "grpc-stock", "ring", 6.4e-4, 1
	stockMPI := stock
	stockMPI.Peer, stockMPI.PeerP50, stockMPI.Ratio = "openmpi", 1.6e-4, 0.25
	none := Row{Call: "barrier", DType: "f32", Transport: "grpc", Algorithm: "dissemination", Asked: "auto", Procs: 2, Rounds: 100, P50: 3e-5, P99: 4e-5, Peer: "gloo", PeerLacks: "it knows no barrier"}
	noneMPI := none
	noneMPI.Peer, noneMPI.PeerLacks, noneMPI.PeerP50, noneMPI.Ratio = "openmpi", "", 3e-5, 1
	return Result{Turns: 5, Rows: []Row{row, mpi, stock, stockMPI, none, noneMPI}, Starts: []Start{
		{Transport: "grpc", Asked: "auto", Procs: 2, Seconds: 0.03, Connections: 1, Peak: 30 << 20},
		{Peer: "gloo", Version: "torch 2", Procs: 2, Seconds: 2.5, Peak: 500 << 20},
	}}
}

// Programs read the JSON: its fields stay.
func TestReports(t *testing.T) {
	var table, fields bytes.Buffer
	if err := example().Table(&table); err != nil {
		t.Fatal(err)
	}
	e := json.NewEncoder(&fields)
	e.SetIndent("", "  ")
	if err := e.Encode(example()); err != nil {
		t.Fatal(err)
	}
	for file, got := range map[string][]byte{"testdata/table.golden": table.Bytes(), "testdata/json.golden": fields.Bytes()} {
		if *update {
			if err := os.WriteFile(file, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs (-update writes it anew):\n%s", file, got)
		}
	}
}
