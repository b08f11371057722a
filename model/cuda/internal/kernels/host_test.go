package kernels

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vgid/model/backend"
	"vgid/model/cuda/internal/kernels/simbuild"
)

// host is a running runner program: the kernels compiled for the host.
type host struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	table map[string]string // signature and largest block, by kernel
	seed  int
}

// binaries is where programs are linked, for the life of the test process.
var binaries struct {
	sync.Once
	dir string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binaries.dir != "" {
		os.RemoveAll(binaries.dir)
	}
	os.Exit(code)
}

// program links the runner from objects.
func program(t testing.TB, objects []string, flags ...string) string {
	binaries.Do(func() {
		dir, err := os.MkdirTemp("", "kernels-*")
		if err != nil {
			t.Fatal(err)
		}
		binaries.dir = dir
	})
	f, err := os.CreateTemp(binaries.dir, "runner-*")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := simbuild.Link(t.Context(), f.Name(), objects, flags...); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// compiled gives the objects of the unchanged kernels and of the runner.
func compiled(t testing.TB, flags ...string) []string {
	t.Helper()
	runner := objects(t, simbuild.Options{Flags: flags, Only: []string{"hostsim/runner.cpp"}})
	return append(objects(t, simbuild.Options{Flags: flags}), runner...)
}

// objects compiles, or skips the test where nothing can.
func objects(t testing.TB, o simbuild.Options) []string {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: the simulated GPU is compiled, which takes a while")
	}
	out, err := simbuild.Objects(t.Context(), o)
	if errors.Is(err, simbuild.ErrNoCompiler) {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// start runs a program. Blocks of a launch go over two OS threads.
func start(t testing.TB, program string) *host {
	h := &host{cmd: exec.Command(program), table: map[string]string{}}
	in, err := h.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	h.cmd.Stderr = &stderr
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.in, h.out = in, bufio.NewReaderSize(out, 1<<20)
	t.Cleanup(func() {
		in.Close()
		h.cmd.Wait()
		if stderr.Len() > 0 {
			t.Errorf("%s says: %s", filepath.Base(program), stderr.String())
		}
	})
	if err := h.list(); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) list() error {
	fmt.Fprintln(h.in, "list")
	for {
		line, err := h.out.ReadString('\n')
		if err != nil {
			return fmt.Errorf("runner ended: %w", err)
		}
		if line == "end\n" {
			return nil
		}
		var name, signature, threads string
		fmt.Sscan(line, &name, &signature, &threads)
		h.table[name] = signature + " " + threads
	}
}

// command sends one line and gives what follows "ok" in the answer.
func (h *host) command(payload []byte, format string, args ...any) (string, error) {
	if _, err := h.in.Write(append([]byte(fmt.Sprintf(format, args...)+"\n"), payload...)); err != nil {
		return "", fmt.Errorf("runner ended: %w", err)
	}
	line, err := h.out.ReadString('\n')
	line = strings.TrimSuffix(line, "\n")
	if rest, ok := strings.CutPrefix(line, "ok"); ok && err == nil {
		return strings.TrimPrefix(rest, " "), nil
	}
	if rest, ok := strings.CutPrefix(line, "fail "); ok {
		return "", errors.New(rest)
	}
	return "", fmt.Errorf("runner ended: %q, %w", line, err)
}

func (h *host) alloc(bytes int) (uint64, error) {
	s, err := h.command(nil, "alloc %d", bytes)
	if err != nil {
		return 0, err
	}
	var at uint64
	_, err = fmt.Sscan(s, &at)
	return at, err
}

func (h *host) write(at uint64, data []byte) error {
	_, err := h.command(data, "write %d %d", at, len(data))
	return err
}

func (h *host) read(at uint64, n int) ([]byte, error) {
	if _, err := h.command(nil, "read %d %d", at, n); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err := io.ReadFull(h.out, b)
	return b, err
}

// reset checks what lies around every buffer and frees them.
func (h *host) reset() error {
	_, err := h.command(nil, "reset")
	return err
}

// launch runs a kernel; args are uint64 (pointers, layouts), int64, int32,
// int, float32.
func (h *host) launch(name string, g Geometry, args ...any) error {
	for _, n := range g.Grid {
		if n == 0 {
			return nil // empty work is not launched
		}
	}
	var s strings.Builder
	fmt.Fprintf(&s, "launch %s %d %d %d %d %d %d %d %d 2", name, g.Grid[0], g.Grid[1], g.Grid[2],
		g.Block[0], g.Block[1], g.Block[2], g.Shared, h.seed)
	for _, a := range args {
		var cell uint64
		switch a := a.(type) {
		case uint64:
			cell = a
		case int64:
			cell = uint64(a)
		case int:
			cell = uint64(a)
		case int32:
			cell = uint64(uint32(a))
		case uint32:
			cell = uint64(a)
		case float32:
			cell = uint64(math.Float32bits(a))
		default:
			return fmt.Errorf("a parameter of %s is a %T", name, a)
		}
		fmt.Fprintf(&s, " %x", cell)
	}
	_, err := h.command(nil, "%s", s.String())
	return err
}

// encode gives the little-endian bytes of values in a storage type.
func encode(dt backend.DType, values []float32) []byte {
	b := make([]byte, 0, len(values)*dt.Size())
	for _, v := range values {
		u := math.Float32bits(v)
		switch {
		case dt == backend.BF16 && v != v:
			b = binary.LittleEndian.AppendUint16(b, 0x7FC0)
		case dt == backend.BF16:
			b = binary.LittleEndian.AppendUint16(b, uint16((u+0x7FFF+u>>16&1)>>16))
		default:
			b = binary.LittleEndian.AppendUint32(b, u)
		}
	}
	return b
}

func decode(dt backend.DType, b []byte) []float32 {
	values := make([]float32, len(b)/dt.Size())
	for i := range values {
		if dt == backend.BF16 {
			values[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
		} else {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	}
	return values
}
