// Package simbuild compiles the kernels and the simulated device for the host,
// for tests. It needs g++ and nothing else.
package simbuild

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/google/renameio/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/cpu"
)

// ErrNoCompiler says that the machine cannot build the simulated device.
var ErrNoCompiler = errors.New("no g++ on this machine (or not x86-64 Linux): the simulated device is not built")

// Options of a build.
// The zero value builds the kernels as they are.
type Options struct {
	Flags []string // further compiler flags
	// Replace gives other texts for sources or headers, by their path relative
	// to the kernels' folder.
	Replace map[string]string
	// Only names the sources to compile; none means all but the test runner.
	Only []string
	// Jobs is how many compilers run at once; 0 means as many as CPUs.
	Jobs int
}

// Flags are those of every compilation and of the link.
// -ffp-contract=off keeps a·b + c two roundings unless a kernel asks for one, as the device's
// compiler is told, too. -O2 takes two seconds more than -O1 for all kernels and a fifth less in
// each test that runs them.
func Flags() []string {
	f := []string{"-std=c++17", "-O2", "-fPIC", "-Wall", "-Wextra", "-ffp-contract=off", "-mtls-dialect=gnu2"}
	if cpu.X86.HasFMA {
		f = append(f, "-mfma") // else the C library's, slower but equal
	}
	return f
}

// Root is the kernels' folder, found from the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "model", "cuda", "internal", "kernels"), nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("simbuild: not inside the module's source tree")
		}
	}
}

// Sources lists what the simulated device is made of, relative to Root: the
// kernels and hostsim, without its test runner.
func Sources(root string) ([]string, error) {
	var out []string
	for _, pattern := range []string{"*.cu", "hostsim/*.cpp"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if rel, _ := filepath.Rel(root, f); rel != "hostsim/runner.cpp" {
				out = append(out, rel)
			}
		}
	}
	return out, nil
}

// Objects compiles sources and gives the object files. They are kept in the
// module's .cache folder under a name made of everything that went in.
func Objects(ctx context.Context, o Options) ([]string, error) {
	gxx, err := exec.LookPath("g++")
	if err != nil || runtime.GOARCH != "amd64" || runtime.GOOS != "linux" {
		return nil, ErrNoCompiler
	}
	root, err := Root()
	if err != nil {
		return nil, err
	}
	sources := o.Only
	if len(sources) == 0 {
		if sources, err = Sources(root); err != nil {
			return nil, err
		}
	}
	// Another compiler gives other objects, so that its version is part of their names.
	version, err := exec.CommandContext(ctx, gxx, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("simbuild: %w", err)
	}
	flags := append(Flags(), o.Flags...)
	seed := fmt.Sprintf("%s\n%s\n%s\n", version, flags, library)
	included, err := headers(root, o.Replace)
	if err != nil {
		return nil, err
	}
	for _, h := range slices.Sorted(maps.Keys(included)) {
		seed += h + "\n" + included[h]
	}
	cache := filepath.Join(root, "..", "..", "..", "..", ".cache", "sim")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	// Replaced headers must come before the ones of the folder in every
	// include, so all headers move.
	var changed map[string]string
	if len(o.Replace) > 0 {
		changed = included
	}
	// Only when something has to be compiled: objects that are there need no headers.
	ahead := sync.OnceValues(func() ([]string, error) { return precompiled(ctx, gxx, cache, version, flags) })
	objects := make([]string, len(sources))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, o.Jobs))
	if o.Jobs == 0 {
		g.SetLimit(runtime.NumCPU())
	}
	for i, name := range sources {
		text, err := source(root, name, o.Replace)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256([]byte(seed + name + "\n" + text))
		// Twelve bytes of a hash are no name that two builds share by chance.
		objects[i] = filepath.Join(cache, fmt.Sprintf("%x.o", sum[:12]))
		if _, err := os.Stat(objects[i]); err == nil {
			continue
		}
		g.Go(func() error {
			include, err := ahead()
			if err != nil {
				return err
			}
			return compile(ctx, gxx, root, name, text, objects[i], append(include, flags...), changed)
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return objects, nil
}

// library is what the simulated device includes of the C++ library: most of what a
// compiler reads for a kernel, which itself is a page or two.
const library = `#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <atomic>
#include <map>
#include <string>
#include <utility>
`

// precompiled gives the flags with which g++ takes library as compiled before, once
// for all sources with the same flags. Where g++ cannot use that, it reads the text.
func precompiled(ctx context.Context, gxx, cache string, version []byte, flags []string) ([]string, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", version, flags, library))
	dir := filepath.Join(cache, fmt.Sprintf("%x-library", sum[:12]))
	include := []string{"-include", filepath.Join(dir, "library.h")}
	if _, err := os.Stat(dir); err == nil {
		return include, nil
	}
	tmp, err := os.MkdirTemp(cache, "library-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	header := filepath.Join(tmp, "library.h")
	if err := os.WriteFile(header, []byte(library), 0o644); err != nil {
		return nil, err
	}
	args := append(append([]string{}, flags...), "-x", "c++-header", header, "-o", header+".gch")
	if err := run(exec.CommandContext(ctx, gxx, args...)); err != nil {
		return nil, fmt.Errorf("simbuild: headers of the C++ library: %w", err)
	}
	// Another process may have been faster: its folder holds the same.
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	return include, nil
}

// Link links objects to a program, or with "-shared" in flags to a library.
func Link(ctx context.Context, out string, objects []string, flags ...string) error {
	args := append(append(append(Flags(), flags...), objects...), "-o", out, "-lpthread")
	return run(exec.CommandContext(ctx, "g++", args...))
}

// source is the text of a file as Replace has it, else as it lies in the folder.
func source(root, name string, replace map[string]string) (string, error) {
	if text, ok := replace[name]; ok {
		return text, nil
	}
	b, err := os.ReadFile(filepath.Join(root, name))
	return string(b), err
}

// headers gives the text of every header by its path.
func headers(root string, replace map[string]string) (map[string]string, error) {
	all := map[string]string{}
	for _, pattern := range []string{"*.h", "hostsim/*.h"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			rel, _ := filepath.Rel(root, f)
			if all[rel], err = source(root, rel, replace); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// compile writes the object of one source; where moved is given, in a folder
// that holds this text and those headers.
// The object appears whole or not at all, since other processes build into the same folder.
func compile(ctx context.Context, gxx, root, name, text, object string, flags []string, moved map[string]string) error {
	file := filepath.Join(root, name)
	if moved != nil {
		dir, err := os.MkdirTemp("", "sim-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		moved := maps.Clone(moved)
		moved[name] = text
		for n, t := range moved {
			to := filepath.Join(dir, n)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(to, []byte(t), 0o644); err != nil {
				return err
			}
		}
		file, root = filepath.Join(dir, name), dir
	}
	tmp, err := os.CreateTemp("", "sim-*.o")
	if err != nil {
		return err
	}
	tmp.Close()
	defer os.Remove(tmp.Name())
	args := append(append([]string{}, flags...), "-I"+root, "-I"+filepath.Join(root, "hostsim"), "-x", "c++", "-c", file, "-o", tmp.Name())
	if err := run(exec.CommandContext(ctx, gxx, args...)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b, err := os.ReadFile(tmp.Name())
	if err != nil {
		return err
	}
	return renameio.WriteFile(object, b, 0o644)
}

// run gives all that a compiler wrote with its failure.
func run(c *exec.Cmd) error {
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", c.Path, err, bytes.TrimSpace(out))
	}
	return nil
}
