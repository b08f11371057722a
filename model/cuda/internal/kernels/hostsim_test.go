package kernels

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vgid/model/backend"
	"vgid/model/cuda/internal/kernels/simbuild"
)

// selftest gives a runner of the self-test kernels.
func selftest(t *testing.T) string {
	objects := compiled(t)
	own, err := simbuild.Objects(t.Context(), simbuild.Options{Only: []string{"hostsim/selftest.cu"}})
	if err != nil {
		t.Fatal(err)
	}
	return program(t, append(objects, own...))
}

// buffer is memory of the runner with values in it.
func buffer(t *testing.T, h *host, dt backend.DType, values []float32) uint64 {
	t.Helper()
	b := encode(dt, values)
	at, err := h.alloc(len(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.write(at, b); err != nil {
		t.Fatal(err)
	}
	return at
}

func values(t *testing.T, h *host, dt backend.DType, at uint64, n int) []float32 {
	t.Helper()
	b, err := h.read(at, n*dt.Size())
	if err != nil {
		t.Fatal(err)
	}
	return decode(dt, b)
}

func one(threads int) Geometry {
	return Geometry{Grid: [3]int{1, 1, 1}, Block: [3]int{threads, 1, 1}}
}

func TestSimulatedWarp(t *testing.T) {
	h := start(t, selftest(t))
	for h.seed = range 4 {
		out, wide, bits := buffer(t, h, backend.F32, make([]float32, 5*64)), buffer(t, h, backend.F32, make([]float32, 2*64)), buffer(t, h, backend.F32, make([]float32, 64))
		if err := h.launch("warp_ops", one(64), out, wide, bits); err != nil {
			t.Fatal(err)
		}
		got := values(t, h, backend.F32, out, 5*64)
		doubles, err := h.read(wide, 8*64)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 64 {
			lane, base := i%32, i/32*32
			want := [5]float32{496, float32(base + (lane+1)%32), float32(i), float32(i), -1}
			if lane >= 3 {
				want[2] = float32(i - 3)
			}
			if lane < 29 {
				want[3] = float32(i + 3)
			}
			if lane < 16 {
				want[4] = float32(i ^ 1)
			}
			if [5]float32(got[5*i:5*i+5]) != want {
				t.Errorf("seed %d, thread %d: %v, want %v", h.seed, i, got[5*i:5*i+5], want)
			}
			sum := math.Float64frombits(binary.LittleEndian.Uint64(doubles[8*i:]))
			if want := float64(32*base + 496); sum != want {
				t.Errorf("thread %d: sum of doubles %v, want %v", i, sum, want)
			}
			if b := math.Float32bits(values(t, h, backend.F32, bits, 64)[i]); b != 0xAAAAAAAA {
				t.Errorf("thread %d: ballot %x", i, b)
			}
		}
	}
}

func TestSimulatedTensorCore(t *testing.T) {
	h := start(t, selftest(t))
	rng := rand.New(rand.NewPCG(1, 2))
	whole := func(n int) []float32 { // small whole numbers: every product and sum is exact
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.IntN(17) - 8)
		}
		return v
	}
	a, b, c, d := whole(256), whole(128), make([]float32, 128), make([]float32, 128)
	out, outT := buffer(t, h, backend.F32, c), buffer(t, h, backend.F32, d)
	err := h.launch("tensor_core", one(32), out, outT, buffer(t, h, backend.BF16, a), buffer(t, h, backend.BF16, b), buffer(t, h, backend.BF16, b))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		for j := range 8 {
			for k := range 16 {
				c[8*i+j] += a[16*i+k] * b[16*j+k]
				d[8*i+j] += a[16*i+k] * b[8*k+j]
			}
		}
	}
	for name, x := range map[string]struct {
		at   uint64
		want []float32
	}{"ldmatrix": {out, c}, "ldmatrix.trans": {outT, d}} {
		for i, v := range values(t, h, backend.F32, x.at, 128) {
			if v != x.want[i] {
				t.Fatalf("%s: element %d is %v, want %v", name, i, v, x.want[i])
			}
		}
	}

	a, b, c = whole(128), whole(64), make([]float32, 128)
	out = buffer(t, h, backend.F32, c)
	if err := h.launch("tensor_core_tf32", one(32), out, buffer(t, h, backend.F32, a), buffer(t, h, backend.F32, b)); err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		for j := range 8 {
			want := float32(0)
			for k := range 8 {
				want += a[8*i+k] * b[8*k+j]
			}
			if got := values(t, h, backend.F32, out, 128)[8*i+j]; got != want {
				t.Fatalf("tf32: element (%d, %d) is %v, want %v", i, j, got, want)
			}
		}
	}
}

// TestSimulatedOrder sees that a barrier left out and a wait left out give
// wrong results for some seed, and that the right kernels never do.
func TestSimulatedOrder(t *testing.T) {
	h := start(t, selftest(t))
	wrong := map[string]int{}
	const seeds = 8
	for h.seed = range seeds {
		for _, name := range []string{"reverse_good", "reverse_no_barrier"} {
			out := buffer(t, h, backend.F32, make([]float32, 5*128))
			if err := h.launch(name, Geometry{Grid: [3]int{5, 1, 1}, Block: [3]int{128, 1, 1}, Shared: 512}, out); err != nil {
				t.Fatal(err)
			}
			for i, v := range values(t, h, backend.F32, out, 5*128) {
				if math.Float32bits(v) != uint32(127-i%128) {
					wrong[name]++
					break
				}
			}
		}
		in := make([]float32, 128)
		for i := range in {
			in[i] = float32(i)
		}
		out := buffer(t, h, backend.F32, make([]float32, 32))
		if err := h.launch("copy_no_wait", one(32), out, buffer(t, h, backend.F32, in)); err != nil {
			t.Fatal(err)
		}
		if values(t, h, backend.F32, out, 32)[1] != 4 {
			wrong["copy_no_wait"]++
		}
		if err := h.launch("copy_zero", one(32), out); err != nil {
			t.Fatal(err)
		}
		for _, v := range values(t, h, backend.F32, out, 32) {
			if v != 0 {
				wrong["copy_zero"]++
			}
		}
	}
	if wrong["reverse_good"] > 0 || wrong["copy_zero"] > 0 {
		t.Errorf("right kernels gave wrong results: %v", wrong)
	}
	if wrong["reverse_no_barrier"] < seeds/2 || wrong["copy_no_wait"] != seeds {
		t.Errorf("wrong kernels gave right results: %v wrong of %d", wrong, seeds)
	}
}

func TestSimulatedAtomicsAndConversions(t *testing.T) {
	h := start(t, selftest(t))
	out := buffer(t, h, backend.F32, make([]float32, 3))
	if err := h.launch("atomics", Geometry{Grid: [3]int{50, 1, 1}, Block: [3]int{64, 1, 1}}, out, out+4, out+8); err != nil {
		t.Fatal(err)
	}
	got := values(t, h, backend.F32, out, 3)
	if got[0] != 3200 || math.Float32bits(got[1]) != 6400 || math.Float32bits(got[2]) != 112 {
		t.Errorf("atomics: %v", got)
	}

	in := []float32{1, 1.00390625, 1.01171875, -3.14159265, float32(math.Inf(1)), float32(math.NaN()), math.MaxFloat32, 0}
	in = append(in, make([]float32, 24)...)
	res := buffer(t, h, backend.F32, make([]float32, 96))
	if err := h.launch("conversions", one(32), res, buffer(t, h, backend.F32, in)); err != nil {
		t.Fatal(err)
	}
	want := []uint32{0x3F80, 0x3F80, 0x3F82, 0xC049, 0x7F80, 0x7FFF, 0x7F80, 0}
	for i, w := range want {
		v := values(t, h, backend.F32, res, 96)
		if g := math.Float32bits(v[3*i]); g != w {
			t.Errorf("bf16 of %v is %x, want %x", in[i], g, w)
		}
		if g := math.Float32bits(v[3*i+1]); g != 0x3F800000|w {
			t.Errorf("packed bf16 of %v is %x, want %x", in[i], g, 0x3F800000|w)
		}
	}
	if g := math.Float32bits(values(t, h, backend.F32, res, 96)[3*3+2]); g != 0xC0490000 { // of 0xC0490FDB
		t.Errorf("tf32 of -π is %x, want c0490000", g)
	}
}

// TestSimulatedMistakes sees that each mistake ends the launch with a message
// that names the kernel.
func TestSimulatedMistakes(t *testing.T) {
	path := selftest(t)
	for _, m := range []struct {
		kernel string
		g      Geometry
		says   string
	}{
		{"bad_barrier", one(64), "only 40 of 64 threads reach the barrier"},
		{"bad_shuffle", one(64), "do not reach this warp operation"},
		{"bad_partial_warp", one(40), "do not reach this warp operation"},
		{"bad_alignment", one(32), "unaligned address"},
		{"bad_shared_index", one(32), "write next to a shared array"},
		{"bad_global_index", one(32), "access outside of every buffer"},
		{"bad_dynamic_index", Geometry{Grid: [3]int{1, 1, 1}, Block: [3]int{32, 1, 1}, Shared: 128}, "access outside of every buffer"},
		{"reverse_good", one(256), "threads is not possible"},
		{"reverse_good", Geometry{Grid: [3]int{1, 70000, 1}, Block: [3]int{32, 1, 1}}, "blocks is not possible"},
	} {
		h := start(t, path)
		for h.seed = range 3 {
			err := h.launch(m.kernel, m.g, buffer(t, h, backend.F32, make([]float32, 64)[:m.g.Block[0]%65]))
			if err == nil || !strings.Contains(err.Error(), m.says) || !strings.Contains(err.Error(), m.kernel) {
				t.Errorf("%s: %v, want a message with %q", m.kernel, err, m.says)
			}
			if strings.Contains(m.says, "outside") {
				break // that ends the program
			}
		}
	}
}

// TestSelftestAssembles sees that ptxas takes every instruction of gpu_device.h.
func TestSelftestAssembles(t *testing.T) {
	ptxas, clang := os.Getenv("VGID_PTXAS"), "clang++-19"
	if ptxas == "" {
		ptxas = "ptxas"
	}
	for _, tool := range []string{ptxas, clang} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: NO %s, gpu_device.h IS NOT ASSEMBLED", tool)
		}
	}
	dir := t.TempDir()
	out, err := exec.Command(clang, "-x", "cuda", "--cuda-device-only", "--cuda-gpu-arch=sm_80", "--cuda-feature=+ptx78",
		"-nocudainc", "-nocudalib", "-O3", "-std=c++17", "-ffp-contract=off", "-Wall", "-Werror", "-I.",
		"-S", "hostsim/selftest.cu", "-o", filepath.Join(dir, "selftest.ptx")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, target := range targets {
		if out, err := exec.Command(ptxas, "-arch="+target, "-o", os.DevNull, filepath.Join(dir, "selftest.ptx")).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", target, err, out)
		}
	}
}
