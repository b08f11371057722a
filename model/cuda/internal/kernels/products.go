package kernels

import (
	"fmt"

	"vgid/model/backend"
)

// The parameters that all products begin with, and the doc that they share.
const (
	productParams = "c@ a@ b@ bias@ parts* m:i32 n:i32 k:i32 alpha:f32 beta:f32 k_part:i32"
	productDoc    = "c = alpha·op(a)·op(b) + beta·c (+ bias): PlanProduct picks the kernel and its launch. " +
		"c and bias f32 or bf16. parts is 0, or f32 [splits, m, n] for gemm_combine. "
)

var products = func() []Kernel {
	var all []Kernel
	for _, tile := range []int{64, 128} {
		for _, trans := range []string{"nn", "nt", "tn", "tt"} {
			all = append(all, Kernel{fmt.Sprintf("gemm_bf16_%s_%d", trans, tile), "gemm_bf16", productParams, 2 * tile,
				productDoc + "a and b bf16, tensor cores."})
		}
	}
	return append(all,
		Kernel{"gemm_f32", "gemm_f32", productParams + " trans_a:i32 trans_b:i32", 256, productDoc + "a and b f32, f32 FMAs."},
		Kernel{"gemm_any", "gemm_f32", productParams + " trans_a:i32 trans_b:i32", 256, productDoc + "a and b f32 or bf16, f32 FMAs."},
		Kernel{"gemm_combine", "gemm_f32", "c@ bias@ parts* m:i32 n:i32 alpha:f32 beta:f32 splits:i32", 256,
			"Finishes a product that was split over k. ProductPlan.Combine."})
}()

// Product is the shape of a matrix product: op(a) [M, K], op(b) [K, N].
type Product struct {
	M, N, K        int
	TransA, TransB bool
	A, B           backend.DType
}

// ProductPlan is how a product is launched: Kernel with Geometry and KPart, and
// when Splits > 1 gemm_combine with Combine after it.
type ProductPlan struct {
	Kernel   string
	Geometry Geometry
	KPart    int
	Splits   int
	Combine  Geometry
	// Flags says that trans_a and trans_b follow as parameters.
	Flags bool
}

// Parts is the f32 scratch memory that a plan needs, in elements.
func (p ProductPlan) Parts(s Product) int {
	if p.Splits == 1 {
		return 0
	}
	return p.Splits * s.M * s.N
}

// PlanProduct picks the kernel and its launch for a device with so many
// multiprocessors. Neither M nor N may be 0; K may.
func PlanProduct(s Product, multiprocessors int) ProductPlan {
	blocks := func(tile int) int { return (s.M + tile - 1) / tile * ((s.N + tile - 1) / tile) }
	p := ProductPlan{Splits: 1}
	tile, threads, shared := 64, 256, 0
	switch {
	case s.A == backend.BF16 && s.B == backend.BF16:
		// The large tile reads half as much for a product, but only many of them fill
		// the device.
		if blocks(128) >= multiprocessors {
			tile = 128
		}
		threads = 2 * tile
		const stages, depth = 3, 32
		shared = stages * 2 * tile * depth * backend.BF16.Size()
		letter := map[bool]string{false: "n", true: "t"}
		p.Kernel = fmt.Sprintf("gemm_bf16_%s%s_%d", letter[s.TransA], letter[s.TransB], tile)
	case s.A == backend.F32 && s.B == backend.F32:
		p.Kernel, p.Flags = "gemm_f32", true
	default:
		p.Kernel, p.Flags = "gemm_any", true
	}
	// Few blocks with a long sum each (one row in decoding, a weight gradient of low
	// rank) leave most of the device idle: give each a part of the sum.
	const least = 256 // of k to a part
	if n := blocks(tile); 2*n <= multiprocessors && s.K >= 2*least {
		p.Splits = min(multiprocessors/n, s.K/least, 32)
	}
	// Whole steps of every kernel, at least one.
	p.KPart = max(1, ((s.K+p.Splits-1)/p.Splits+31)/32) * 32
	p.Splits = max(1, (s.K+p.KPart-1)/p.KPart)
	p.Geometry = Geometry{Grid: [3]int{blocks(tile), p.Splits, 1}, Block: [3]int{threads, 1, 1}, Shared: shared}
	p.Combine = Geometry{Grid: [3]int{min((s.M*s.N+255)/256, 1<<16), 1, 1}, Block: [3]int{256, 1, 1}}
	return p
}
