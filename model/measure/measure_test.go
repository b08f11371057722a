package measure

import "testing"

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{8, 1, 2, 4}, 3}} {
		if got := Median(c.v); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.v, got, c.want)
		}
	}
}

func TestMemory(t *testing.T) {
	m, err := Memory()
	if err != nil {
		t.Skip("NOT TESTED HERE: ", err)
	}
	if m["VmHWM"] < m["VmRSS"] || m["VmRSS"] < 1<<20 {
		t.Errorf("peak %d, resident %d", m["VmHWM"], m["VmRSS"])
	}
}
