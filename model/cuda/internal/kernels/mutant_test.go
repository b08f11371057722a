package kernels

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/model/cuda/internal/kernels/simbuild"
)

// check runs kernels on random operands and compares with the reference; its
// suite keeps the first difference.
type check struct {
	name string
	run  func(s *suite)
}

// mutant is a mistake that its check must find. file may be a header; unit is
// the source that is compiled with it.
type mutant struct {
	name, unit, file, old, new string
	check                      check
}

// runCheck runs a check under some orders of threads, each with numbers of its
// own, and gives the first error.
func runCheck(t testing.TB, c check, program string, seeds int) error {
	h := start(t, program)
	for seed := range seeds {
		s := newSuite(h, uint64(seed))
		c.run(s)
		s.finish(c.name)
		if s.err != nil {
			return fmt.Errorf("seed %d: %w", seed, s.err)
		}
	}
	return nil
}

// runChecks runs checks on the kernels as they are.
func runChecks(t *testing.T, seeds int, checks ...check) {
	path := program(t, compiled(t))
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := runCheck(t, c, path, seeds); err != nil {
				t.Error(err)
			}
		})
	}
}

// runMutants sees that every mistake is found. The text it changes must occur
// once.
func runMutants(t *testing.T, seeds int, mutants ...mutant) {
	compiled(t) // skips without a compiler, and fills the cache
	root, err := simbuild.Root()
	if err != nil {
		t.Fatal(err)
	}
	all, err := simbuild.Sources(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join(root, m.file))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(text), m.old); n != 1 {
				t.Fatalf("%q occurs %d times in %s", m.old, n, m.file)
			}
			var others []string
			for _, s := range all {
				if s != m.unit {
					others = append(others, s)
				}
			}
			objects, err := simbuild.Objects(t.Context(), simbuild.Options{Only: append(others, "hostsim/runner.cpp")})
			if err != nil {
				t.Fatal(err)
			}
			// Run for a moment and never again: optimising it takes longer than it saves.
			wrong, err := simbuild.Objects(t.Context(), simbuild.Options{Only: []string{m.unit}, Flags: []string{"-O0", "-g0"},
				Replace: map[string]string{m.file: strings.Replace(string(text), m.old, m.new, 1)}})
			if err != nil {
				t.Fatal(err)
			}
			// The wrong one first: of an inline function in several objects the
			// linker takes the first.
			err = runCheck(t, m.check, program(t, append(wrong, objects...)), seeds)
			if err == nil {
				t.Fatalf("%s finds nothing wrong with %q", m.check.name, m.new)
			}
			t.Log(err)
		})
	}
}

// choose draws one of a list.
func choose[T any](s *suite, list ...T) T { return list[s.rng.IntN(len(list))] }
