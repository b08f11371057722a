//go:build !linux

package loadbench

import "errors"

func drop([]string) (float64, error) {
	return 0, errors.New("the page cache can be emptied on Linux only; leave --cold out")
}
