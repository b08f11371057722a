package kernels

import (
	"fmt"
	"testing"

	"vgid/model/backend"
)

// product computes one random product of the given shape and compares.
func product(s *suite, p Product, dt backend.DType, multiprocessors int) {
	if s.err != nil {
		return // found already
	}
	ar, ac, br, bc := p.M, p.K, p.K, p.N
	if p.TransA {
		ar, ac = ac, ar
	}
	if p.TransB {
		br, bc = bc, br
	}
	// Rows on 16 bytes are copied another way than others.
	operand := func(dt backend.DType, rows, cols int) *tensor {
		if s.rng.IntN(2) == 0 {
			return s.floats(dt, rows, cols, s.normal)
		}
		return s.place(dt, rows, cols, (cols+choose(s, 7, 15))/8*8, choose(s, 0, 8), s.normal)
	}
	a, b, c := operand(p.A, ar, ac), operand(p.B, br, bc), s.floats(dt, p.M, p.N, s.normal)
	var bias *tensor
	if s.rng.IntN(2) == 0 {
		bias = s.floats(s.dtype(), 1, p.N, s.normal)
	}
	alpha, beta := choose(s, float32(1), 0.5, -2), choose(s, float32(0), 0, 1, 0.25)
	if beta == 0 {
		c = s.floats(dt, p.M, p.N, junk) // and must not be read
	}
	plan, flag := PlanProduct(p, multiprocessors), map[bool]int{true: 1}
	var parts uint64
	if n := plan.Parts(p); n > 0 {
		parts = s.scratch(4 * n)
	}
	list := []any{c, a, b, bias, parts, p.M, p.N, p.K, alpha, beta, plan.KPart}
	if plan.Flags {
		list = append(list, flag[p.TransA], flag[p.TransB])
	}
	s.launch(plan.Kernel, plan.Geometry, list...)
	if plan.Splits > 1 {
		s.launch("gemm_combine", plan.Combine, c, bias, parts, p.M, p.N, alpha, beta, plan.Splits)
	}
	s.ref.MatMul(c.t, a.t, b.t, backend.MatMul{TransA: p.TransA, TransB: p.TransB, Alpha: alpha, Beta: beta, Bias: bias.view()})
	s.same(fmt.Sprintf("%s %+v, %d parts, alpha %v, beta %v", plan.Kernel, p, plan.Splits, alpha, beta), 1e-5, 5e-5, c)
}

func productsOf(a, b backend.DType) check {
	return check{fmt.Sprintf("%v by %v", a, b), func(s *suite) {
		for i := range 12 {
			p := Product{M: 1 + s.rng.IntN(150), N: 1 + s.rng.IntN(150), K: s.rng.IntN(140), TransA: i&1 != 0, TransB: i&2 != 0, A: a, B: b}
			switch i {
			case 4:
				p.M = 1
			case 5:
				p.N = 1
			case 6:
				p.M, p.N, p.K = 128, 64, 64
			case 7:
				p.K = 0
			case 8:
				p.M, p.N, p.K = 3, 40, 1000 // split over k
			}
			product(s, p, s.dtype(), choose(s, 2, 40))
		}
	}}
}

var (
	productsBF16 = productsOf(backend.BF16, backend.BF16)
	productsF32  = productsOf(backend.F32, backend.F32)
	// With one multiprocessor everything takes the large tile.
	productsLarge = check{"large tiles", func(s *suite) {
		for i := range 4 {
			p := Product{M: 1 + s.rng.IntN(200), N: 1 + s.rng.IntN(200), K: 1 + s.rng.IntN(140), TransA: i&1 != 0, TransB: i&2 != 0,
				A: backend.BF16, B: backend.BF16}
			if i == 3 {
				p.M, p.N, p.K = 9*128+5, 140, 33 // two bands of tiles
			}
			product(s, p, s.dtype(), 1)
		}
	}}
)

func TestProducts(t *testing.T) {
	runChecks(t, 4, productsBF16, productsF32, productsLarge,
		productsOf(backend.F32, backend.BF16), productsOf(backend.BF16, backend.F32))
}

func TestProductMutants(t *testing.T) {
	t.Parallel()
	runMutants(t, 4, []mutant{
		{"no wait for the copies", "gemm_bf16.cu", "gemm_bf16.cu", "    cp_async_wait<STAGES - 2>();", "", productsBF16},
		{"waits for one copy too few", "gemm_bf16.cu", "gemm_bf16.cu", "cp_async_wait<STAGES - 2>", "cp_async_wait<STAGES - 1>", productsBF16},
		{"no barrier before a stage is used", "gemm_bf16.cu", "gemm_bf16.cu", "    sync_threads();               //", "    //", productsBF16},
		{"no barrier before the sums are laid out", "gemm_bf16.cu", "gemm_bf16.cu", "  cp_async_wait<0>();\n  sync_threads();\n", "  cp_async_wait<0>();\n", productsBF16},
		{"the next strip over the last one", "gemm_bf16.cu", "gemm_bf16.cu", "strip[r * PITCH + lane]);\n    sync_warp();", "strip[r * PITCH + lane]);", productsBF16},
		{"beta read where it is 0", "gemm_f32.cu", "gemm.h", "if (r.beta != 0) y", "y", productsF32},
		{"a column too many", "gemm_f32.cu", "gemm.h", "col >= r.n", "col > r.n", productsF32},
		{"alpha forgotten", "gemm_f32.cu", "gemm.h", "r.alpha * sum", "sum", productsF32},
		{"tiles overwritten while they are read", "gemm_f32.cu", "gemm_f32.cu", "    sync_threads();  // everybody has read them\n", "", productsF32},
		{"tiles read before they are complete", "gemm_f32.cu", "gemm_f32.cu", "    sync_threads();  // the tiles are complete\n", "", productsF32},
		{"a part reads the next one's products", "gemm_f32.cu", "gemm_f32.cu", "k0 + p < k_to;", "k0 + p < k_to + 1;", productsF32},
		{"a row's end taken for the next row", "gemm_bf16.cu", "tile.h", "e < left ? from[e]", "e < 8 ? from[e]", productsBF16},
		{"a chunk copied past a row's end", "gemm_bf16.cu", "tile.h", "left <= 0 || (left >= 8 && aligned)", "left <= 0 || (left >= 4 && aligned)", productsBF16},
		{"fragments of b swapped", "gemm_bf16.cu", "tile.h", "b[0][0] = r[0], b[0][1] = r[1]", "b[0][0] = r[1], b[0][1] = r[0]", productsBF16},
		{"swizzle undone on one side", "gemm_bf16.cu", "tile.h", "ldmatrix_x4(a, tile + T::at(m0 + (lane & 15), k0 / 8 + (lane >> 4)));", "ldmatrix_x4(a, tile + (m0 + (lane & 15)) * T::pitch + k0 + (lane >> 4) * 8);", productsBF16},
	}...)
}

func TestPlanProduct(t *testing.T) {
	for _, c := range []struct {
		s              Product
		kernel         string
		grid           [3]int
		splits, shared int
	}{
		{Product{M: 4096, N: 4096, K: 4096, A: backend.BF16, B: backend.BF16}, "gemm_bf16_nn_128", [3]int{1024, 1, 1}, 1, 48 << 10},
		{Product{M: 300, N: 300, K: 64, TransB: true, A: backend.BF16, B: backend.BF16}, "gemm_bf16_nt_64", [3]int{25, 1, 1}, 1, 24 << 10},
		{Product{M: 1, N: 4096, K: 4096, TransB: true, A: backend.BF16, B: backend.BF16}, "gemm_bf16_nt_64", [3]int{64, 2, 1}, 2, 24 << 10},
		{Product{M: 16, N: 64, K: 4096, TransA: true, A: backend.BF16, B: backend.BF16}, "gemm_bf16_tn_64", [3]int{1, 16, 1}, 16, 24 << 10},
		{Product{M: 5, N: 7, K: 0, A: backend.F32, B: backend.F32}, "gemm_f32", [3]int{1, 1, 1}, 1, 0},
	} {
		p := PlanProduct(c.s, 132)
		if p.Kernel != c.kernel || p.Geometry.Grid != c.grid || p.Splits != c.splits || p.Geometry.Shared != c.shared {
			t.Errorf("%+v: %+v", c.s, p)
		}
		if p.KPart%32 != 0 || p.Splits*p.KPart < c.s.K || (p.Splits-1)*p.KPart >= max(1, c.s.K) {
			t.Errorf("%+v: %d parts of %d", c.s, p.Splits, p.KPart)
		}
	}
}
