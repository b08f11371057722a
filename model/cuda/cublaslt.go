//go:build cuda && cgo && linux

package cuda

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"vgid/model/backend"
)

// openLt looks for a cuBLASLt that multiplies right on this device. A simulated
// device brings its own in the same file. Without one, products run on our
// kernels, and Name says so.
func (b *Device) openLt(library string) {
	// What was asked for by name is tried alone: another library in its place would hide that it
	// does not work.
	paths := ltCandidates(b.dev.DriverVersion)
	switch {
	case b.opt.CuBLASLt == "none":
		b.ltWhy = errors.New("cuBLASLt is not wanted")
		return
	case b.opt.CuBLASLt != "":
		paths = []string{b.opt.CuBLASLt}
	case b.dev.Simulated:
		paths = []string{library}
	}
	var why []string
	broken := "" // the first that is there and does not work
	for _, path := range paths {
		lt, err := b.dev.OpenLt(path)
		if err == nil {
			b.lt = lt
			if err = b.tryLt(); err == nil || b.Err() != nil {
				return
			}
			lt.Close()
			b.lt = nil
			err = fmt.Errorf("%s: %w", path, err)
		}
		why = append(why, err.Error())
		if absent := path + ": cannot open shared object file"; broken == "" && !strings.HasPrefix(err.Error(), absent) {
			broken = err.Error()
		}
	}
	b.ltWhy = fmt.Errorf("cuBLASLt: %s", strings.Join(why, "; "))
	switch {
	case b.opt.CuBLASLt != "":
		b.opt.warn("VGID_CUBLASLT: %v; products run on vgid's own slower kernels", b.ltWhy)
	case broken != "":
		b.opt.warn("cuBLASLt does not work on this device (%s), products run on vgid's own slower kernels; name another in VGID_CUBLASLT", broken)
	default:
		b.opt.warn("cuBLASLt is not found, products run on vgid's own slower kernels; install it (it comes with PyTorch and with CUDA) or name it in VGID_CUBLASLT")
	}
}

// tryLt multiplies small integers, of which a product of bfloat16 is exact: a
// library that is too new for the driver, too old for the card, or not what we
// take it for shows here, not in the middle of a run.
func (b *Device) tryLt() error {
	defer b.done()
	// Sums of 64 products of at most 9 are integers below 2¹⁰, which every precision holds.
	const m, n, k = 16, 32, 64
	matrix := func(dt backend.DType, rows, cols int) operand {
		return dense(b.temp(dt, rows*cols), dt, rows, cols)
	}
	x, y, c := matrix(backend.BF16, m, k), matrix(backend.BF16, n, k), matrix(backend.F32, m, n)
	vx, vy := smallIntegers(m*k, 7), smallIntegers(n*k, 11)
	b.fill(x, vx)
	b.fill(y, vy)
	if b.Err() != nil {
		return b.Err()
	}
	if err := b.multiplyLt(product{c: c, x: x, y: y, transY: true, alpha: 1}); err != nil {
		return err
	}
	got := make([]float32, m*n)
	if b.download(bytesOf(got), backend.F32, c); b.Err() != nil {
		return b.Err()
	}
	for i := range m {
		for j := range n {
			want := float32(0)
			for p := range k {
				want += vx[i*k+p] * vy[j*k+p]
			}
			if got[i*n+j] != want {
				return fmt.Errorf("it multiplies wrongly: element (%d, %d) of a product of integers is %g, not %g", i, j, got[i*n+j], want)
			}
		}
	}
	return nil
}

// fill queues the upload of values to an operand of bfloat16.
func (b *Device) fill(to operand, values []float32) {
	t := dense(b.temp(backend.F32, len(values)), backend.F32, to.rows, to.cols)
	b.stageTemp(t.ptr, bytesOf(values))
	b.copy(to, t)
}

// smallIntegers are numbers from -3 to 3 without a pattern that a transposed
// matrix would share.
func smallIntegers(n, step int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i*i*step/3%7 - 3)
	}
	return v
}

// ltCandidates are where cuBLASLt may be: where the dynamic linker looks, in a
// CUDA toolkit, in the Python packages that PyTorch brings. Version 13 needs a
// driver of CUDA 13; version 12 runs on both.
func ltCandidates(driverVersion int) []string {
	versions := []string{"13", "12"}
	if driverVersion < 13000 {
		versions = versions[1:]
	}
	patterns := []string{"/usr/local/cuda*/lib64", "/usr/local/cuda*/targets/*/lib"}
	site := []string{
		"/usr/lib/python3*", "/usr/local/lib/python3*", "/opt/*/lib/python3*",
		os.Getenv("HOME") + "/.local/lib/python3*", os.Getenv("HOME") + "/.pyenv/versions/*/lib/python3*",
	}
	for _, dir := range []string{os.Getenv("VIRTUAL_ENV"), os.Getenv("CONDA_PREFIX"), pythonPrefix()} {
		if dir != "" {
			patterns = append(patterns, dir+"/lib")
			site = append(site, dir+"/lib/python3*")
		}
	}
	for _, s := range site {
		for _, packages := range []string{"site-packages", "dist-packages"} {
			patterns = append(patterns, s+"/"+packages+"/nvidia/cu13/lib", s+"/"+packages+"/nvidia/cublas/lib")
		}
	}
	var paths []string
	for _, version := range versions {
		paths = append(paths, "libcublasLt.so."+version)
	}
	for _, version := range versions {
		for _, p := range patterns {
			found, _ := filepath.Glob(p + "/libcublasLt.so." + version) // only a malformed pattern fails
			paths = append(paths, found...)
		}
	}
	return paths
}

// pythonPrefix is the folder above bin of the python3 that is found first: a
// virtual environment that was entered by its path alone.
// Python itself is not run.
func pythonPrefix() string {
	python, err := exec.LookPath("python3")
	if err != nil {
		return ""
	}
	return filepath.Dir(filepath.Dir(python))
}
