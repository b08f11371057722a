package netlab

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseRate reads a rate in bits a second, in tc's spelling: a number and kbit, mbit or gbit, in powers of 1000.
func ParseRate(s string) (float64, error) {
	number, factor := strings.ToLower(strings.TrimSpace(s)), 1.0
	for i, unit := range []string{"gbit", "mbit", "kbit", "bit"} {
		if rest, has := strings.CutSuffix(number, unit); has {
			number, factor = strings.TrimSpace(rest), []float64{1e9, 1e6, 1e3, 1}[i]
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v > 0) || v*factor > 1e15 {
		return 0, fmt.Errorf("%q is no rate: it is a number with kbit, mbit or gbit, as 10gbit", s)
	}
	return v * factor, nil
}
