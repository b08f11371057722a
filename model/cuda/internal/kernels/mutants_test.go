package kernels

import "testing"

// simple is a mutant of a kernel that kernelCases tries.
type simple struct {
	file     string // that is changed
	old, new string
	source   string // compiled with the change; file itself when empty
	kernel   string // the case that must find it
}

var simpleMutants = []simple{
	// Barriers.
	{"gpu.h", "sync_threads();\n  v = lane_id() < (int)(blockDim.x >> 5) ? buf[lane_id()] : T(0);", "v = lane_id() < (int)(blockDim.x >> 5) ? buf[lane_id()] : T(0);", "norm.cu", "rms_norm"},
	{"gpu.h", "v = warp_sum(v);\n  sync_threads();\n  return v;", "v = warp_sum(v);\n  return v;", "norm.cu", "layer_norm_backward"},
	{"rows.cu", "any |= buf[w] != 0;\n  sync_threads();", "any |= buf[w] != 0;", "", "scatter_add_rows"},
	{"rows.cu", "found[warp_id()] = same;\n        sync_threads();", "found[warp_id()] = same;", "", "scatter_add_rows"},
	{"rows.cu", "buf[warp_id()] = bad;\n  sync_threads();", "buf[warp_id()] = bad;", "", "check_index"},
	{"rows.cu", "indices[warp_id()] = at;\n    }\n    sync_threads();", "indices[warp_id()] = at;\n    }", "", "argmax"},
	// Borders.
	{"mat.h", "(int)min<int64_t>(cols - c, 4)", "4", "elementwise.cu", "copy"},
	{"mat.h", "(4 * size - 1)", "(size - 1)", "elementwise.cu", "add"},
	{"mat.h", "| (stride & 3)", "| (stride & 1)", "elementwise.cu", "add"},
	{"mat.h", "(c & 3) == 0", "true", "rearrange.cu", "rope"},
	{"rows.cu", "i >= 0 && i < limit ? src", "i < limit ? src", "", "gather_rows"},
	{"rows.cu", "if (i >= 0 && i < limit) dst", "if (i >= 0) dst", "", "scatter_rows"},
	{"reduce.cu", "min((p + 1) * per_part, rows)", "(p + 1) * per_part", "", "sum_rows"},
	{"reduce.cu", "for (int64_t p = 0; p < parts", "for (int64_t p = 1; p < parts", "", "sum_rows"},
	{"norm.cu", "c = 4 * threadIdx.x; c < cols", "c = 4 * threadIdx.x; c + 4 < cols", "", "rms_norm"},
	{"rearrange.cu", "y = c % area / patch, x = c % patch", "x = c % area / patch, y = c % patch", "", "patchify"},
	// Work given to the wrong or to several threads.
	{"rows.cu", "if (block_any(earlier, found)) continue;", "block_any(earlier, found);", "", "scatter_add_rows"},
	{"reduce.cu", "(int64_t)blockIdx.y * gridDim.x + blockIdx.x", "blockIdx.x", "", "sum_squares"},
	{"mat.h", "r += dr)", "r += dr + 1)", "elementwise.cu", "fill"},
	// Arithmetic.
	{"mat.h", "pack_bf16(v[0], v[1])", "pack_bf16(v[1], v[0])", "elementwise.cu", "copy"},
	{"elementwise.cu", "fmadd(splat(alpha), x.get(r, c, n)", "fmadd(splat(1.f), x.get(r, c, n)", "", "axpy"},
	{"elementwise.cu", "d * u * slope", "d * u", "", "swiglu_backward"},
	{"mathf.h", "-0.387837976f", "-0.387737976f", "elementwise.cu", "activate"},
	{"random.cu", "i < 10", "i < 9", "", "random"},
	{"random.cu", "(float)(r * t.cos), (float)(r * t.sin)", "(float)(r * t.sin), (float)(r * t.cos)", "", "random"},
	{"random.cu", "(uint32_t)id[1], (uint32_t)id[0]", "(uint32_t)id[0], (uint32_t)id[1]", "", "dropout"},
	{"random.cu", ">= p ?", "> p + 0.001f ?", "", "dropout"},
	{"rearrange.cu", "splat(sign) * sin", "sin", "", "rope"},
	{"rows.cu", "(v == best && i < at)", "(v == best && i > at)", "", "argmax"},
	{"rows.cu", "bool number = v[i] - v[i] == 0;", "bool number = v[i] == v[i];", "", "argmax"},
	{"rows.cu", "if (!bad || error[0]) return;", "if (!bad) return;", "", "check_index"},
	{"norm.cu", "dx.get(r, c, n) + d)", "d)", "", "rms_norm_backward"},
	{"norm.cu", "- norm * splat(gn_mean)", "", "", "layer_norm_backward"},
	{"optimizer.cu", "splat(clip) * g", "g", "", "adamw"},
	{"optimizer.cu", "p.get(r, c, n) * splat(decay)", "p.get(r, c, n)", "", "adamw"},
}

// TestMutants breaks kernels one way at a time and sees the tests fail.
func TestMutants(t *testing.T) {
	cases := map[string]kernelCase{}
	for _, c := range kernelCases() {
		cases[c.name] = c
	}
	var all []mutant
	for _, m := range simpleMutants {
		c, ok := cases[m.kernel]
		if !ok {
			t.Fatalf("no case %q", m.kernel)
		}
		if m.source == "" {
			m.source = m.file
		}
		all = append(all, mutant{m.kernel + "/" + m.new, m.source, m.file, m.old, m.new, check{c.name, func(s *suite) {
			s.anyGrid = true
			for i := 0; i < len(shapes) && s.err == nil; i++ {
				c.run(s, shapes[i][0], shapes[i][1])
			}
		}}})
	}
	runMutants(t, 6, all...)
}
