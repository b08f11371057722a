package measure

import (
	"runtime"
	"testing"
)

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

func TestPeakMemory(t *testing.T) {
	held := make([]byte, 32<<20)
	for i := range held {
		held[i] = 1
	}
	peak := PeakMemory()
	if peak < 32<<20 || peak > 1<<30 {
		t.Errorf("the peak is %d bytes with 32 MiB in use", peak)
	}
	if rss := maxRSS(); rss < peak/2 { // the unit is the same, or it is 1024 times less
		t.Errorf("ru_maxrss is %d bytes, the peak %d", rss, peak)
	}
	runtime.KeepAlive(held)
	if maxRSSUnit("darwin") != 1 || maxRSSUnit("linux") != 1024 || maxRSSUnit("freebsd") != 1024 {
		t.Error("ru_maxrss is in bytes on darwin alone")
	}
}

// Work takes processor time, which never goes back.
func TestCPU(t *testing.T) {
	before, last := CPU(), CPU()
	for last == before {
		now := CPU()
		if now < last {
			t.Fatalf("%v after %v", now, last)
		}
		last = now
	}
}
