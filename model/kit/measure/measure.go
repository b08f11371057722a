// Package measure reads clocks, processor time and memory of this process, for the
// benches and for the record of a stage, and gives medians.
package measure

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Median is the middle value, the mean of the two middle ones of an even number,
// 0 of none.
func Median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	if n == 0 {
		return 0
	}
	return (v[(n-1)/2] + v[n/2]) / 2
}

var start = time.Now()

// Clock is the time that counts: on one thread the processor time of this
// process, so that other programs on the machine do not; on several the time
// that passes, since waiting for each other is what they must not do.
func Clock(threads int) time.Duration {
	if threads == 1 {
		if t := CPU(); t > 0 {
			return t
		}
	}
	return time.Since(start)
}

// CPU is the processor time that this process used, in user and in system mode;
// 0 where the system does not tell.
func CPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// PeakMemory is the largest resident set of this program so far, in bytes; 0
// where the system does not tell.
func PeakMemory() int64 {
	if m, err := Memory(); err == nil {
		return m["VmHWM"]
	}
	return maxRSS()
}

// maxRSS is the peak as every Unix tells it. Linux counts in what ran in this
// process before it became this program: the one that started it.
func maxRSS() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return int64(u.Maxrss) * maxRSSUnit(runtime.GOOS)
}

// maxRSSUnit is how many bytes a unit of ru_maxrss is on a system: getrusage(2)
// counts in bytes on macOS and in KiB elsewhere.
func maxRSSUnit(system string) int64 {
	if system == "darwin" || system == "ios" {
		return 1
	}
	return 1 << 10
}

// Memory are the sizes that Linux tells of this process by their names (VmHWM,
// VmRSS, RssAnon, RssFile …), in bytes.
func Memory() (map[string]int64, error) {
	const path = "/proc/self/status"
	status, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("memory of a process is measured on Linux only: %w", err)
	}
	sizes := map[string]int64{}
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		if kib, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB"); ok {
			n, err := strconv.ParseInt(kib, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", path, name, err)
			}
			sizes[name] = n << 10
		}
	}
	for _, name := range []string{"VmHWM", "VmRSS", "RssAnon"} {
		if sizes[name] == 0 {
			return nil, fmt.Errorf("%s has no %s", path, name)
		}
	}
	return sizes, nil
}
