//go:build !linux

package loadbench

// Without a way to see what is cached, a cold start could only be claimed.
func drop([]string) (float64, error) {
	return 0, &ColdError{Why: "the page cache can be emptied on Linux only"}
}
