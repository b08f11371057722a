package kernels

import (
	"vgid/model/backend"
)

// Launched with Elementwise(rows, cols), on matrices that may be seen as one
// row where Flatten allows.
var elementwise = []Kernel{
	{"fill", "elementwise", "dst@ v:f32 rows:i64 cols:i64", 256, "dst = v; of dtype I32 the integer part of v."},
	{"copy", "elementwise", "dst@ src@ rows:i64 cols:i64", 256, "dst = src, converted to its dtype; integers to integers only."},
	{"add", "elementwise", "dst@ a@ b@ rows:i64 cols:i64", 256, "dst = a + b; dst may be a or b."},
	{"axpy", "elementwise", "y@ alpha:f32 x@ rows:i64 cols:i64", 256, "y += alpha·x."},
	{"scale", "elementwise", "x@ alpha:f32 rows:i64 cols:i64", 256, "x *= alpha."},
	{"activate", "elementwise", "y@ x@ f:i32 rows:i64 cols:i64", 256, "y = f(x), f a backend.Activation."},
	{"activate_backward", "elementwise", "dx@ dy@ x@ f:i32 rows:i64 cols:i64", 256, "dx = dy·f'(x); dx may be dy."},
	{"swiglu", "elementwise", "y@ gate@ up@ rows:i64 cols:i64", 256, "y = silu(gate)·up."},
	{"swiglu_backward", "elementwise", "dgate@ dup@ dy@ gate@ up@ rows:i64 cols:i64", 256, "dgate = dy·up·silu'(gate), dup = dy·silu(gate)."},
}

// Launched with Elementwise(rows, cols), never flattened: the stream is a
// matter of the row and the column.
var random = []Kernel{
	{"random", "random", "dst@ distribution:i32 key_lo:i32 key_hi:i32 site:i32 sample* sample_stride:i64 rows:i64 cols:i64", 256,
		"Row i of dst from the stream of (PhiloxKey, sample[i·sample_stride]); distribution is a backend.Distribution."},
	{"dropout", "random", "y@ x@ p:f32 keep:f32 key_lo:i32 key_hi:i32 site:i32 ids* ids_stride:i64 rows:i64 cols:i64", 256,
		"y = x·mask·keep, keep = 1/(1-p); ids[i·ids_stride] is (sample, position) of row i. y may be x."},
}

// PhiloxKey gives the key parameters of the random kernels.
func PhiloxKey(k backend.Key) (lo, hi, site uint32) {
	return uint32(k.Seed), uint32(k.Seed>>32) ^ k.Step*0x9E3779B9, k.Site
}

var rearrange = []Kernel{
	{"rope", "rearrange", "x@ cos@ sin@ heads:i32 half:i32 sign:f32 rows:i64", 256,
		"Rotates the pairs (i, i+half) of each head of x [rows, heads·2·half] in place by cos, sin [rows, half]; sign -1 rotates back. Launch with RoPE."},
	{"patchify", "rearrange", "dst@ images@ channels:i32 height:i32 width:i32 patch:i32 rows:i64", 256,
		"images [n, channels·height·width] as one row per patch: dst [rows, channels·patch²]. Launch with Elementwise(rows, channels·patch²)."},
}

// RoPE covers rows and heads of half pairs each.
func RoPE(rows, heads, half int) Geometry {
	g := Elementwise(rows, half)
	g.Grid[2] = min(heads, 65535)
	return g
}
