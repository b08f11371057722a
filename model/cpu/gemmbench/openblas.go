package gemmbench

import (
	"context"
	_ "embed"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"vgid/model/kit/measure/bench"
)

//go:embed testdata/openblas_bench.c
var openBLASSource []byte

// openBLAS is the running comparison program.
// remove takes its folder away; config is what the library says of itself, with the kernels it
// chose for this processor.
type openBLAS struct {
	*bench.Peer
	config string
	remove func()
}

// startOpenBLAS compiles the comparison program against the machine's OpenBLAS
// and starts it. The context ends it.
func startOpenBLAS(ctx context.Context) (_ *openBLAS, err error) {
	const source = "openblas_bench.c"
	dir, remove, err := bench.Folder(map[string][]byte{source: openBLASSource})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			remove()
		}
	}()
	program := filepath.Join(dir, "openblas_bench")
	// It is compiled where it is measured: OpenBLAS is the machine's own.
	build := exec.CommandContext(ctx, "gcc", "-O2", "-o", program, filepath.Join(dir, source), "-lopenblas")
	if out, err := build.CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return nil, fmt.Errorf("compiling against it failed (%w: %s); install gcc and libopenblas-dev", err, first)
	}
	var hello struct{ Config, Core string }
	peer, err := bench.Start(exec.CommandContext(ctx, program), &hello)
	if err != nil {
		return nil, err
	}
	return &openBLAS{peer, fmt.Sprintf("%s (%s kernels)", strings.TrimSpace(hello.Config), hello.Core), remove}, nil
}

// time returns its best rate for a shape within d, in GFLOP/s.
// An answer comes for each question, one at a time.
func (p *openBLAS) time(s Shape, threads int, d time.Duration) (float64, error) {
	bit := map[bool]int{true: 1}
	var r struct{ GFLOPS float64 }
	err := p.Ask(&r, s.M, s.N, s.K, bit[s.TransA], bit[s.TransB], threads, d.Seconds())
	return r.GFLOPS, err
}

func (p *openBLAS) close() {
	p.Close()
	p.remove()
}
