package cmdline

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseSize reads a number of bytes: 5GB and 500MB as on disks, 5GiB and
// 500MiB as in memory. Empty is 0.
// Both kinds of units are taken as what they mean, since transformers' max_shard_size is in the first and
// memory in the second. What would not fit an int64 or is less than a byte is refused: 0 means that none was given.
func ParseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	for _, u := range []struct {
		suffix string
		bytes  float64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"", 1}} {
		if n, ok := strings.CutSuffix(s, u.suffix); ok {
			v, err := strconv.ParseFloat(n, 64)
			if err != nil || !(v*u.bytes >= 1 && v*u.bytes < 1<<62) {
				break
			}
			return int64(v * u.bytes), nil
		}
	}
	return 0, fmt.Errorf("%q is no size; write 5GB, 500MB or a number of bytes", s)
}
