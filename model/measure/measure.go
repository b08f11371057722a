// Package measure is what the benches share: medians, clocks and the memory of
// this process.
package measure

import (
	"fmt"
	"os"
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
	var u syscall.Rusage
	if threads == 1 && syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return time.Since(start)
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
