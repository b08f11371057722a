package collective_test

import (
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"

	"vgid/collective"
	"vgid/collective/calltest"
	"vgid/collective/mem"
)

// What Open MPI gave, made by testdata/openmpi.py.
//
//go:embed testdata/openmpi.golden
var openMPI string

// lookUp finds a value by its name.
func lookUp[T fmt.Stringer](t *testing.T, all []T, name string) T {
	t.Helper()
	i := slices.IndexFunc(all, func(v T) bool { return v.String() == name })
	if i < 0 {
		t.Fatalf("testdata/openmpi.golden names %q, which is not one of %v", name, all)
	}
	return all[i]
}

// Every call with every type and operation gives, bit for bit, what Open MPI
// gives, by the ways for short buffers and those for long ones.
func TestCallsGiveWhatOpenMPIGives(t *testing.T) {
	counts := []int{0, 7, 20}
	var keys []string
	var worlds [6][]calltest.Job
	var want [6][]string
	for line := range strings.Lines(openMPI) {
		f := strings.Fields(line)
		if f[0] == "#" || f[0] == "float" {
			continue
		}
		keys = append(keys, strings.Join(f[:3], " "))
		job := calltest.Job{Call: lookUp(t, calltest.Calls, f[0]), DType: lookUp(t, calltest.Types, f[1])}
		if f[2] != "-" {
			job.Op = lookUp(t, calltest.Ops, f[2])
		}
		for n := 1; n <= 5; n++ {
			sums := strings.Split(f[2+n], ",")
			for i, count := range counts {
				j := job
				j.Count, j.Root = count, (n-1)/2
				for r := range n {
					j.Counts = append(j.Counts, (r*5+count)%7)
				}
				worlds[n], want[n] = append(worlds[n], j), append(want[n], sums[i])
			}
		}
	}
	if len(keys) < 200 {
		t.Fatalf("testdata/openmpi.golden holds %d lines", len(keys))
	}
	for n := 1; n <= 5; n++ {
		for _, opt := range []collective.Options{{}, {SmallBytes: -1, MiddleBytes: -1, ChunkBytes: 32}} {
			got, err := calltest.Results(mem.New(n), opt, worlds[n])
			if err != nil {
				t.Fatal(err)
			}
			for k, j := range worlds[n] {
				sum := uint32(0)
				for r := range n {
					sum = crc32.Update(sum, crc32.IEEETable, got[r][k])
				}
				if s := fmt.Sprintf("%08x", sum); s != want[n][k] {
					t.Errorf("%s with %d elements among %d ranks: %s, Open MPI %s: %+v gives rank 0 %x",
						keys[k/len(counts)], counts[k%len(counts)], n, s, want[n][k], j, got[0][k])
				}
			}
		}
	}
}

// Sums and products that are not exact are as near to Open MPI's as their rounding
// allows: each of the two errs by at most n-1 roundings of the sum of the absolute
// values, or of the product, and an average by one more.
func TestInexactResultsAgainstOpenMPI(t *testing.T) {
	seen := 0
	for line := range strings.Lines(openMPI) {
		var n int
		var dtype, opName, bits string
		if _, err := fmt.Sscanf(line, "float %d %s %s %s", &n, &dtype, &opName, &bits); err != nil {
			continue
		}
		seen++
		raw, err := hex.DecodeString(bits)
		if err != nil {
			t.Fatal(err)
		}
		op := lookUp(t, calltest.Ops, opName)
		x := func(rank, i int) float64 {
			return float64((rank*2654435761+i*40503+12345)%(1<<32))/(1<<31) - 1
		}
		var got []float64
		errs := world(t, n, collective.Options{}, nil, func(c *collective.Comm) error {
			narrow, wide := make([]float32, 6), make([]float64, 6)
			for i := range wide {
				narrow[i], wide[i] = float32(x(c.Rank(), i)), x(c.Rank(), i)
			}
			b := collective.F64(wide)
			if dtype == "f32" {
				b = collective.F32(narrow)
			}
			err := c.AllReduce(context.Background(), b, op)
			if c.Rank() == n-1 {
				for i := range wide {
					if dtype == "f32" {
						wide[i] = float64(narrow[i])
					}
				}
				got = wide
			}
			return err
		})
		if err := first(errs); err != nil {
			t.Fatal(err)
		}
		for i, g := range got {
			var want, roundoff float64
			if dtype == "f32" {
				want, roundoff = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))), 0x1p-24
			} else {
				want, roundoff = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])), 0x1p-53
			}
			size := math.Abs(want)
			if op != collective.Prod {
				size = 0
				for r := range n {
					size += math.Abs(x(r, i))
				}
			}
			if op == collective.Avg {
				size /= float64(n)
			}
			if bound := 2 * float64(n) * roundoff * size; math.Abs(g-want) > bound*1.0001 {
				t.Errorf("%s element %d: %v, Open MPI %v, further apart than %v", strings.TrimSpace(line), i, g, want, bound)
			}
		}
	}
	if seen != 24 {
		t.Errorf("testdata/openmpi.golden holds %d inexact results", seen)
	}
}
