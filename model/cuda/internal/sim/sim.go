// Package sim builds the simulated device: a fake driver library (libcuda.so.1,
// with cuBLASLt in it) that runs the same .cu sources the PTX is made of,
// compiled for the host. It stands in for NVIDIA's driver below
// model/cuda/internal/driver, so that everything above runs where no GPU is. Tests use
// it, and whoever sets VGID_CUDA_DRIVER to the library.
//
// What it simulates beyond the arithmetic, to find what a real device would
// hide or punish at random:
//
//   - calls need a current context on the calling thread; an error of the device
//     sticks to its context; handles that are gone or another device's are refused;
//   - work only runs when something waits for it, and streams go ahead of each
//     other in an order that the seed draws, unless events order them;
//   - allocations lie between guard pages and begin with a pattern; freed
//     addresses stay unused for a while; memory that is allocated or freed in
//     stream order is closed before and after; writes just outside are found;
//   - a launch is checked against the limits of a block, a grid and shared
//     memory, and against the committed PTX: names, parameters, shared memory;
//   - kernels run as hostsim has it: barriers, warps, asynchronous copies.
//
// VGID_CUDA_SIM changes its settings, "devices=2,memory=64000000,seed=3": see
// driver.Options and device.cpp.
//
// What it does not show: whether ptxas and the driver accept and optimise the
// PTX, races within a warp, the error of approximate instructions, anything
// about speed.
package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vgid/model/cuda/internal/kernels/simbuild"
)

// Library compiles the fake driver, unless the same sources have been compiled
// before, and returns its path. It fails with simbuild.ErrNoCompiler where there
// is no compiler, and outside the module's source tree.
func Library(ctx context.Context) (string, error) {
	kernels, err := simbuild.Objects(ctx, simbuild.Options{})
	if err != nil {
		return "", err
	}
	return link(ctx, kernels)
}

// LibraryWith is a library of other kernels: unit, a source, is compiled with the
// texts of replace, see simbuild.Options. It is for tests of the tests.
func LibraryWith(ctx context.Context, unit string, replace map[string]string) (string, error) {
	root, err := simbuild.Root()
	if err != nil {
		return "", err
	}
	sources, err := simbuild.Sources(root)
	if err != nil {
		return "", err
	}
	others, err := simbuild.Objects(ctx, simbuild.Options{Only: slices.DeleteFunc(sources, func(s string) bool { return s == unit })})
	if err != nil {
		return "", err
	}
	changed, err := simbuild.Objects(ctx, simbuild.Options{Only: []string{unit}, Replace: replace})
	if err != nil {
		return "", err
	}
	// Of an inline function in several objects the linker takes the first.
	return link(ctx, append(changed, others...))
}

// link makes the library of kernels and the driver's files.
func link(ctx context.Context, kernels []string) (string, error) {
	root, err := simbuild.Root()
	if err != nil {
		return "", err
	}
	driver, err := driverObjects(ctx, root)
	if err != nil {
		return "", err
	}
	objects := append(kernels, driver...)
	sum := sha256.Sum256([]byte(strings.Join(objects, "\n"))) // named by content
	lib := filepath.Join(filepath.Dir(objects[0]), fmt.Sprintf("%x-libcuda.so.1", sum[:8]))
	if _, err := os.Stat(lib); err == nil {
		return lib, nil
	}
	tmp, err := os.MkdirTemp(filepath.Dir(lib), "link-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "libcuda.so.1")
	if err := simbuild.Link(ctx, out, objects, "-shared", "-Wl,-soname,libcuda.so.1"); err != nil {
		return "", err
	}
	return lib, os.Rename(out, lib)
}

// driverObjects compiles the files of fake.
func driverObjects(ctx context.Context, root string) ([]string, error) {
	include := filepath.Join(root, "..", "driver", "include")
	headers := sha256.New()
	for _, pattern := range []string{filepath.Join(include, "*.h"), filepath.Join(root, "..", "sim", "fake", "*.h")} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return nil, err
			}
			headers.Write(b)
		}
	}
	o := simbuild.Options{Flags: []string{"-O2", "-I" + include, fmt.Sprintf("-DSIM_HEADERS=0x%xu", headers.Sum(nil)[:4])}}
	files, err := filepath.Glob(filepath.Join(root, "..", "sim", "fake", "*.cpp"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		o.Only = append(o.Only, "../sim/fake/"+filepath.Base(f))
	}
	objects, err := simbuild.Objects(ctx, o)
	if err != nil {
		return nil, err
	}
	names, err := os.ReadFile(filepath.Join(root, "..", "driver", "symbols.txt"))
	if err != nil {
		return nil, err
	}
	rest, err := simbuild.Objects(ctx, simbuild.Options{
		Only:    []string{"absent.cpp"},
		Replace: map[string]string{"absent.cpp": absent(strings.Fields(string(names)))},
	})
	return append(objects, rest...), err
}

// absent defines the functions of the driver that are not simulated.
func absent(names []string) string {
	var b bytes.Buffer
	b.WriteString("#define ABSENT(name) extern \"C\" __attribute__((weak)) int name() { return 801; }  // not supported\n")
	for _, name := range names {
		fmt.Fprintf(&b, "ABSENT(%s)\n", name)
	}
	return b.String()
}
