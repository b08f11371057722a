package stepbench

import (
	"math"
	"testing"
)

func TestPeak(t *testing.T) {
	for device, want := range map[string]float64{
		"cuda(NVIDIA H100 80GB HBM3, cuBLASLt 13.0)": 989, "cuda(NVIDIA H100 PCIe, own products)": 756, "cuda(NVIDIA H200, own products)": 989,
		"cuda(NVIDIA A100-SXM4-80GB, own products)": 312, "cuda(NVIDIA L40S, own products)": 362, "cuda(NVIDIA L40, own products)": 0, "cpu": 0,
	} {
		if got := peakTFLOPS(device); got != want {
			t.Errorf("%s: %g TFLOP/s, want %g", device, got, want)
		}
	}
}

// Of LLaVA-1.5-7B, 6.476e9 weights of the decoder's linear layers and 0.30e9 of
// 23 layers of the tower count.
func TestFLOPs(t *testing.T) {
	o := AdapterOptions{Shape: "llava-7b"}
	c, _, err := Shape(o.Shape)
	if err != nil {
		t.Fatal(err)
	}
	const batch, tokens, answer, adapter = 4, 1024, 128, 39976960
	n := float64(batch * tokens)
	forward := 2*n*6.476e9 + 2*32*4096*n*tokens + 2*batch*answer*32064*4096 + batch*(2*577*0.2898e9+4*577*577*1024*23+2*576*(1024*4096+4096*4096))
	backward := 2*n*6.476e9 + 4*32*4096*n*tokens + 2*batch*answer*32064*4096 + 6*n*adapter
	for vgid, want := range map[bool]float64{false: forward + backward, true: 2*forward + backward} {
		if got := flops(c, batch, tokens, answer, adapter, vgid); math.Abs(got-want) > 2e-3*want {
			t.Errorf("vgid %v: %g operations, want %g", vgid, got, want)
		}
	}
}
