//go:build !linux

package loadbench

import "errors"

// Without a way to see what is cached, a cold start could only be claimed.
func drop([]string) (float64, error) {
	return 0, errors.New("the page cache can be emptied on Linux only; leave --cold out")
}
