//go:build linux && !cuda

package main

import (
	"strings"
	"testing"
)

func TestWithoutCUDASaysSo(t *testing.T) {
	for _, args := range [][]string{unlearnWith(t.TempDir(), map[string]string{"device": "cuda"}), {"selftest"}, {"inspect", "--model", "m", "--device", "cuda"}} {
		p := toEnd(t, program, args...)
		if code, text := p.wait(), p.err.String(); code == 0 || !strings.Contains(text, "built without CUDA; build it with make cuda") || strings.Count(text, "\n") != 1 {
			t.Errorf("%v: exit %d, %q", args[0], code, text)
		}
	}
}
