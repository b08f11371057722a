package gemmbench

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

//go:embed testdata/openblas_bench.c
var openBLASSource []byte

// openBLAS is the running comparison program.
type openBLAS struct {
	config string
	dir    string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
}

// startOpenBLAS compiles the comparison program against the machine's OpenBLAS
// and starts it. The context ends it.
func startOpenBLAS(ctx context.Context) (_ *openBLAS, err error) {
	dir, err := os.MkdirTemp("", "gemmbench")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	src, bin := filepath.Join(dir, "openblas_bench.c"), filepath.Join(dir, "openblas_bench")
	if err := os.WriteFile(src, openBLASSource, 0o600); err != nil {
		return nil, err
	}
	build := exec.CommandContext(ctx, "gcc", "-O2", "-o", bin, src, "-lopenblas")
	if out, err := build.CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return nil, fmt.Errorf("compiling against it failed (%w: %s); install gcc and libopenblas-dev", err, first)
	}
	p := &openBLAS{dir: dir, cmd: exec.CommandContext(ctx, bin)}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(stdout)
	var hello struct{ Config, Core string }
	if err := p.read(&hello); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	p.config = fmt.Sprintf("%s (%s kernels)", strings.TrimSpace(hello.Config), hello.Core)
	return p, nil
}

func (p *openBLAS) read(v any) error {
	if !p.out.Scan() {
		return fmt.Errorf("the comparison program ended early: %w", errors.Join(p.out.Err(), io.ErrUnexpectedEOF))
	}
	return json.Unmarshal(p.out.Bytes(), v)
}

// time returns its best rate for a shape within d, in GFLOP/s.
func (p *openBLAS) time(s Shape, threads int, d time.Duration) (float64, error) {
	bit := map[bool]int{true: 1}
	if _, err := fmt.Fprintln(p.in, s.M, s.N, s.K, bit[s.TransA], bit[s.TransB], threads, d.Seconds()); err != nil {
		return 0, err
	}
	var r struct{ GFLOPS float64 }
	err := p.read(&r)
	return r.GFLOPS, err
}

func (p *openBLAS) stop() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }

// close ends the program; its exit status no longer matters.
func (p *openBLAS) close() {
	_ = p.stop()
	_ = os.RemoveAll(p.dir)
}
