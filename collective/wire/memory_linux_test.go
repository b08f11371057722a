package wire

import (
	"os"
	"strings"
	"testing"
)

// mappings counts the memory of lanes that this process has mapped.
func mappings(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip("no /proc to count in: ", err)
	}
	return strings.Count(string(b), "memfd:vgid")
}
