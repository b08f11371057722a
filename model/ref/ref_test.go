package ref

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vgid/model/backend"
)

// near compares to float64 rounding.
func near(got, want float64) bool {
	return math.Abs(got-want) <= 1e-12*max(1, math.Abs(want))
}

// ⟨gather(x), y⟩ = ⟨x, scatter_add(y)⟩: each is the other's gradient.
func TestGatherAndScatterAddAreAdjoint(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		from, to, cols := rapid.IntRange(1, 6).Draw(rt, "from"), rapid.IntRange(0, 9).Draw(rt, "to"), rapid.IntRange(0, 4).Draw(rt, "cols")
		idx := b.ints(1, rapid.SliceOfN(rapid.Int32Range(-2, int32(from-1)), to, to).Draw(rt, "idx")...)
		x, y := b.random(from, cols), b.random(to, cols)
		gathered, scattered := b.junk(to, cols), b.zeros(from, cols)
		b.GatherRows(gathered, x, idx)
		b.ScatterAddRows(scattered, y, idx)
		if left, right := b.inner(gathered, y), b.inner(x, scattered); !near(left, right) {
			rt.Fatalf("⟨gather(x), y⟩ = %v, ⟨x, scatter_add(y)⟩ = %v", left, right)
		}
	})
}

// scatter_rows undoes gather_rows of distinct rows and leaves the others.
func TestScatterUndoesGather(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		n := rapid.IntRange(1, 6).Draw(rt, "rows")
		order := rapid.Permutation([]int32{0, 1, 2, 3, 4, 5}[:n]).Draw(rt, "order")
		chosen := order[:rapid.IntRange(0, n).Draw(rt, "chosen")]
		x, picked, back := b.random(n, 3), b.junk(len(chosen), 3), b.tensor(n, 3, func() float64 { return 9 })
		idx := b.ints(1, chosen...)
		b.GatherRows(picked, x, idx)
		b.ScatterRows(back, picked, idx)
		is := make([]bool, n)
		for _, i := range chosen {
			is[i] = true
		}
		each(x, func(r, c int) {
			want := 9.0
			if is[r] {
				want = b.At(x, r, c)
			}
			if got := b.At(back, r, c); got != want {
				rt.Fatalf("(%d, %d) is %v, want %v", r, c, got, want)
			}
		})
	})
}

// The gradients of c = op(a)·op(b) are products with the other factor:
// ⟨a·b, g⟩ = ⟨a, g·bᵀ⟩ = ⟨b, aᵀ·g⟩.
func TestMatMulGradientsAreProducts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		m, n, k := rapid.IntRange(1, 5).Draw(rt, "m"), rapid.IntRange(1, 5).Draw(rt, "n"), rapid.IntRange(1, 5).Draw(rt, "k")
		x, y, g := b.random(m, k), b.random(k, n), b.random(m, n)
		c, dx, dy, yt, ct := b.junk(m, n), b.junk(m, k), b.junk(k, n), b.zeros(n, k), b.junk(m, n)
		b.MatMul(c, x, y, backend.MatMul{Alpha: 1})
		b.MatMul(dx, g, y, backend.MatMul{Alpha: 1, TransB: true})
		b.MatMul(dy, x, g, backend.MatMul{Alpha: 1, TransA: true})
		each(yt, func(r, c int) { b.Set(yt, r, c, b.At(y, c, r)) })
		b.MatMul(ct, x, yt, backend.MatMul{Alpha: 1, TransB: true})
		value := b.inner(c, g)
		for name, other := range map[string]float64{"a, g·bᵀ": b.inner(x, dx), "b, aᵀ·g": b.inner(y, dy), "a·(bᵀ)ᵀ, g": b.inner(ct, g)} {
			if !near(other, value) {
				rt.Fatalf("⟨a·b, g⟩ = %v, ⟨%s⟩ = %v", value, name, other)
			}
		}
	})
}

// With true angles RoPE is a rotation: inverse undoes it, lengths stay, and the
// product of a query and a key depends on the distance of their positions only.
func TestRoPEIsARotation(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		heads, half := rapid.IntRange(1, 3).Draw(rt, "heads"), rapid.IntRange(1, 4).Draw(rt, "half")
		x := b.random(2, heads*2*half)
		turned := b.zeros(2, x.Cols)
		angles := func(first, second float64) (cos, sin backend.Tensor) {
			cos, sin = b.zeros(2, half), b.zeros(2, half)
			each(cos, func(r, c int) {
				a := []float64{first, second}[r] / math.Pow(100, float64(c)/float64(half))
				b.Set(cos, r, c, math.Cos(a))
				b.Set(sin, r, c, math.Sin(a))
			})
			return cos, sin
		}
		at := rapid.Float64Range(0, 50).Draw(rt, "position")
		by := rapid.Float64Range(0, 50).Draw(rt, "shift")
		product := func(shift float64) float64 {
			cos, sin := angles(at+shift, 3+shift)
			b.Copy(turned, x)
			b.RoPE(turned, cos, sin, heads, false)
			p := b.inner(turned.RowRange(0, 1), turned.RowRange(1, 2))
			if norm := b.inner(turned, turned); !near(norm, b.inner(x, x)) {
				rt.Fatalf("the squared length %v became %v", b.inner(x, x), norm)
			}
			b.RoPE(turned, cos, sin, heads, true)
			each(x, func(r, c int) {
				if !near(b.At(turned, r, c), b.At(x, r, c)) {
					rt.Fatalf("(%d, %d) comes back as %v, not %v", r, c, b.At(turned, r, c), b.At(x, r, c))
				}
			})
			return p
		}
		if here, there := product(0), product(by); !near(here, there) {
			rt.Fatalf("product %v, after a shift of both %v", here, there)
		}
	})
}

// Dropout is linear and symmetric: applied to the gradient it is the backward
// pass, with the same mask and the same scale.
func TestDropoutBackwardHasTheSameMask(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		p := rapid.Float32Range(0, 0.99).Draw(rt, "p")
		key := backend.Key{Seed: rapid.Uint64().Draw(rt, "seed"), Step: rapid.Uint32().Draw(rt, "step"), Site: rapid.Uint32().Draw(rt, "site")}
		rows := b.ints(2, rapid.SliceOfN(rapid.Int32(), 6, 6).Draw(rt, "rows")...)
		x, y, dy, dx := b.random(3, 13), b.junk(3, 13), b.random(3, 13), b.junk(3, 13)
		b.Dropout(y, x, p, key, rows)
		b.Dropout(dx, dy, p, key, rows)
		each(x, func(r, c int) {
			factor := b.At(y, r, c) / b.At(x, r, c)
			if want := 1 / (1 - float64(p)); factor != 0 && !near(factor, want) {
				rt.Fatalf("(%d, %d) is scaled by %v, want 0 or %v", r, c, factor, want)
			}
			if got, want := b.At(dx, r, c), factor*b.At(dy, r, c); !near(got, want) {
				rt.Fatalf("gradient at (%d, %d) is %v, want %v", r, c, got, want)
			}
		})
		if p == 0 && !near(b.inner(y, x), b.inner(x, x)) {
			rt.Fatal("probability 0 changed something")
		}
	})
}

// The mask and the random numbers are those of the documentation, from the
// generator up: nothing but (seed, step, site, sample, position) matters.
func TestRandomIsAsDocumented(t *testing.T) {
	b := newBench(t)
	key := backend.Key{Seed: 0x123456789ABCDEF0, Step: 77, Site: 9}
	samples, positions := []int32{4, -2, 4}, []int32{11, 0, 12}
	word := func(c int, position, sample int32) uint32 {
		return backend.Philox4x32(
			[4]uint32{uint32(c / 4), uint32(position), uint32(sample), 9},
			[2]uint32{0x9ABCDEF0, 0x12345678 ^ uint32(77*0x9E3779B9&0xFFFFFFFF)},
		)[c%4]
	}
	x, y := b.tensor(3, 30, func() float64 { return 1 }), b.junk(3, 30)
	b.Dropout(y, x, 0.25, key, b.ints(2, samples[0], positions[0], samples[1], positions[1], samples[2], positions[2]))
	uniform, normal := b.junk(3, 30), b.junk(3, 30)
	b.Random(uniform, backend.Uniform, key, b.ints(1, samples...))
	b.Random(normal, backend.Normal, key, b.ints(1, samples...))
	each(x, func(r, c int) {
		want := 0.0
		if float64(word(c, positions[r], samples[r])>>8)/(1<<24) >= 0.25 {
			want = 1 / 0.75
		}
		if got := b.At(y, r, c); !near(got, want) {
			t.Errorf("dropout at (%d, %d) gives %v, want %v", r, c, got, want)
		}
		if got, want := b.At(uniform, r, c), float64(word(c, 0, samples[r])>>8)/(1<<24); got != want {
			t.Errorf("uniform number (%d, %d) is %v, want %v", r, c, got, want)
		}
		// A pair of words is a radius and an angle.
		radius := math.Sqrt(-2 * math.Log((float64(word(c&^1, 0, samples[r]))+1)/(1<<32)))
		angle := 2 * math.Pi * float64(word(c|1, 0, samples[r])) / (1 << 32)
		wantNormal := radius * math.Cos(angle)
		if c%2 == 1 {
			wantNormal = radius * math.Sin(angle)
		}
		if got := b.At(normal, r, c); math.Abs(got-wantNormal) > 1e-6 {
			t.Errorf("normal number (%d, %d) is %v, want %v", r, c, got, wantNormal)
		}
	})
}

// Small results worked out on paper.
func TestByHand(t *testing.T) {
	b := newBench(t)
	of := func(cols int, values ...float64) backend.Tensor {
		i := -1
		return b.tensor(len(values)/cols, cols, func() float64 { i++; return values[i] })
	}
	check := func(what string, got backend.Tensor, want ...float64) {
		t.Helper()
		if v := b.value(got); !slices.Equal(v, want) {
			t.Errorf("%s is %v, want %v", what, v, want)
		}
	}
	x := of(2, 1, 2, 3, 4)
	sum := b.junk(2, 2)
	b.Add(sum, x, of(2, 10, 20, 30, 40))
	check("add", sum, 11, 22, 33, 44)
	b.Axpy(sum, -2, x)
	check("axpy", sum, 9, 18, 27, 36)
	b.Scale(sum, 0.5)
	check("scale", sum, 4.5, 9, 13.5, 18)
	// [1 2; 3 4]·[5 6; 7 8] = [19 22; 43 50], and with the left side transposed [26 30; 38 44].
	c, y := of(2, 100, 200, 300, 400), of(2, 5, 6, 7, 8)
	b.MatMul(c, x, y, backend.MatMul{Alpha: 2, Beta: 1, Bias: of(2, 0.5, -0.5)})
	check("matmul", c, 138.5, 243.5, 386.5, 499.5)
	b.MatMul(c, x, y, backend.MatMul{Alpha: 1, TransA: true})
	check("matmul of aᵀ", c, 26, 30, 38, 44)
	b.MatMul(c, x, y, backend.MatMul{Alpha: 1, TransB: true})
	check("matmul with bᵀ", c, 17, 23, 39, 53)
	rows := of(2, 1000, 2000)
	b.SumRows(rows, x)
	check("sum_rows", rows, 1004, 2006)
	total := of(1, 5)
	b.SumSquares(total, x)
	check("sum_squares", total, 35)
	gathered := b.junk(3, 2)
	b.GatherRows(gathered, x, b.ints(1, 1, -1, 0))
	check("gather_rows", gathered, 3, 4, 0, 0, 1, 2)
	best := b.ints(1, 9, 9, 9)
	b.ArgMax(best, of(3, -3, -1, -1, 7, 7, 7, 0, 1, 2))
	got := make([]int32, 3)
	if err := b.DownloadInts(got, best); err != nil || !slices.Equal(got, []int32{1, 0, 2}) {
		t.Errorf("argmax is %v (%v), want [1 0 2]", got, err)
	}
	// One image of 1 channel, 2 by 4 pixels, in two patches.
	patches := b.junk(2, 4)
	b.Patchify(patches, of(8, 1, 2, 3, 4, 5, 6, 7, 8), 1, 2, 4, 2)
	check("patchify", patches, 1, 2, 5, 6, 3, 4, 7, 8)
}

// Dropout keeps the share it should.
func TestDropoutRate(t *testing.T) {
	b := newBench(t)
	const n = 4000
	x, y := b.tensor(5, n, func() float64 { return 1 }), b.junk(5, n)
	for _, p := range []float32{0.05, 0.5, 0.9} {
		b.Dropout(y, x, p, backend.Key{Seed: 5}, b.ints(2, 0, 0, 0, 1, 1, 0, 7, 3, 3, 7))
		kept := 0.0
		each(y, func(r, c int) {
			if b.At(y, r, c) != 0 {
				kept++
			}
		})
		q := 1 - float64(p)
		if sigma := math.Sqrt(5 * n * q * (1 - q)); math.Abs(kept-5*n*q) > 5*sigma {
			t.Errorf("p = %v keeps %v of %d, expected %v ± %.0f", p, kept, 5*n, 5*n*q, sigma)
		}
	}
}

// Four updates against the closed form of the moments,
// m_t = (1-β1)·Σ β1^(t-i)·g_i, instead of the recurrence.
func TestAdamWByHand(t *testing.T) {
	for name, h := range map[string]backend.AdamW{
		"plain":                      {LR: 0.125, Beta1: 0.5, Beta2: 0.75, Eps: 0.0625},
		"decay":                      {LR: 0.125, Beta1: 0.5, Beta2: 0.75, Eps: 0.0625, WeightDecay: 0.5},
		"clipped":                    {LR: 0.125, Beta1: 0.5, Beta2: 0.75, Eps: 0.0625, ClipNorm: 2},
		"usual, decay and clip":      {LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1, ClipNorm: 1},
		"norm below the clip":        {LR: 0.125, Beta1: 0.5, Beta2: 0.75, Eps: 0.0625, ClipNorm: 1000},
		"no momentum":                {LR: 0.125, Beta1: 0, Beta2: 0, Eps: 0.0625},
		"decay only, by a high rate": {LR: 0.5, Beta1: 0.5, Beta2: 0.5, Eps: 1e6, WeightDecay: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			p, m, v, norm := b.random(2, 3), b.zeros(2, 3), b.zeros(2, 3), b.zeros(1, 1)
			want := b.value(p)
			var grads [][]float64
			for step := 1; step <= 4; step++ {
				g := b.tensor(2, 3, func() float64 { return float64(step) * b.rng.NormFloat64() })
				kept := b.value(g)
				b.Fill(norm, 0)
				b.SumSquares(norm, g)
				length := 0.0
				for _, x := range kept {
					length = math.Hypot(length, x)
				}
				clip := 1.0
				if h.ClipNorm > 0 && length > float64(h.ClipNorm) {
					clip = float64(h.ClipNorm) / length
				}
				scaled := make([]float64, len(kept))
				for i, x := range kept {
					scaled[i] = clip * x
				}
				grads = append(grads, scaled)
				h.Step = step
				b.AdamW(p, g, m, v, norm, h)
				lr, b1, b2 := float64(h.LR), float64(h.Beta1), float64(h.Beta2)
				for i := range want {
					// Weighted means of what was seen: the weights of a step sum to 1
					// after the bias correction.
					var first, second, firstSum, secondSum float64
					for j, g := range grads {
						w1, w2 := math.Pow(b1, float64(step-1-j)), math.Pow(b2, float64(step-1-j))
						first, firstSum = first+w1*g[i], firstSum+w1
						second, secondSum = second+w2*g[i]*g[i], secondSum+w2
					}
					want[i] -= lr * float64(h.WeightDecay) * want[i]
					want[i] -= lr * (first / firstSum) / (math.Sqrt(second/secondSum) + float64(h.Eps))
					if got := b.At(p, i/3, i%3); math.Abs(got-want[i]) > 1e-11 {
						t.Fatalf("step %d: parameter %d is %v, want %v", step, i, got, want[i])
					}
					if got, want := b.At(m, i/3, i%3), (1-b1)*first; !near(got, want) {
						t.Fatalf("step %d: first moment %d is %v, want %v", step, i, got, want)
					}
					if got, want := b.At(v, i/3, i%3), (1-b2)*second; !near(got, want) {
						t.Fatalf("step %d: second moment %d is %v, want %v", step, i, got, want)
					}
				}
				for i, x := range b.value(g) {
					if x != kept[i] {
						t.Fatalf("step %d changed gradient %d from %v to %v", step, i, kept[i], x)
					}
				}
			}
		})
	}
}

// A clip norm without a norm, and a norm without a clip norm, change nothing.
func TestAdamWClipNeedsBoth(t *testing.T) {
	b := newBench(t)
	start, g := b.random(1, 4), b.random(1, 4)
	update := func(norm backend.Tensor, clip float32) []float64 {
		p, m, v := b.zeros(1, 4), b.zeros(1, 4), b.zeros(1, 4)
		b.Copy(p, start)
		b.AdamW(p, g, m, v, norm, backend.AdamW{LR: 0.1, Beta1: 0.9, Beta2: 0.99, Eps: 1, ClipNorm: clip, Step: 1})
		return b.value(p)
	}
	norm := b.tensor(1, 1, func() float64 { return 100 })
	plain, noNorm, noClip, both := update(backend.Tensor{}, 0), update(backend.Tensor{}, 0.1), update(norm, 0), update(norm, 0.1)
	for i := range plain {
		if noNorm[i] != plain[i] || noClip[i] != plain[i] || both[i] == plain[i] {
			t.Errorf("parameter %d: plain %v, no norm %v, no clip %v, clipped %v", i, plain[i], noNorm[i], noClip[i], both[i])
		}
	}
}

func TestClosed(t *testing.T) {
	b := New()
	buf, err := b.Alloc(backend.F32, 4)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.Fill(backend.View(buf, 0, 2, 2), 1)
	if err := b.Sync(); err == nil || !strings.Contains(err.Error(), "Close") {
		t.Errorf("Fill after Close leaves %v", err)
	}
}

func TestAllocRefuses(t *testing.T) {
	b := New()
	if _, err := b.Alloc(backend.F32, -1); err == nil {
		t.Error("Alloc of -1 elements gives no error")
	}
	if _, err := b.Alloc(backend.DType(9), 1); err == nil {
		t.Error("Alloc of an unknown type gives no error")
	}
}
