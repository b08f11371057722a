// Package bytesize writes numbers of bytes for people.
package bytesize

import "fmt"

// Binary is a number of bytes in powers of 1024, as memory is counted: 1.5 GiB.
type Binary int64

func (n Binary) String() string { return n.GiB(1) }

// GiB is String with that many decimals where GiB are written.
func (n Binary) GiB(decimals int) string {
	return scaled(int64(n), 1<<10, decimals, "B", "KiB", "MiB", "GiB")
}

// Decimal is a number of bytes in powers of 1000, as the hub and disks count:
// 1.5 GB.
type Decimal int64

func (n Decimal) String() string { return scaled(int64(n), 1000, 1, "B", "kB", "MB", "GB") }

// scaled writes n in the largest unit that it fills, with one decimal but in the
// smallest unit, and last decimals in the largest.
func scaled(n, base int64, last int, units ...string) string {
	unit := int64(1)
	for i, name := range units {
		if n < unit*base || i == len(units)-1 {
			decimals := 1
			switch i {
			case 0:
				decimals = 0
			case len(units) - 1:
				decimals = last
			}
			return fmt.Sprintf("%.*f %s", decimals, float64(n)/float64(unit), name)
		}
		unit *= base
	}
	panic("bytesize: no units")
}
