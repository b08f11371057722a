// Command asm generates the AVX2 and AVX-512 kernels of package simd. It is a module of
// its own so that users of the trainer never fetch the generator's
// dependencies. Run it with `go generate ./model/cpu/internal/simd`.
package main

import (
	"flag"
	"log"
	"os"
	"regexp"
	"strings"

	. "github.com/mmcloughlin/avo/build"
)

// Which kernels there are is decided here, and which of them runs by the dispatch of
// package simd. The avo library assigns registers to the virtual ones used below and fails
// when there are too few, so a tile that is too large is found when it is generated.
func main() {
	other := flag.String("other", "", "file for the stubs of other architectures")
	flag.Parse()
	// Every height up to the full tile has a kernel of its own: the rows that are left over
	// at the bottom of a matrix then compute nothing in vain. Columns that are left over
	// are masked in one kernel.
	for mr := 1; mr <= panelRows; mr++ {
		for _, nr := range []int{8, 16} {
			genGemm(mr, nr, true)
			genGemm(mr, nr, false)
		}
	}
	for nr := 8; nr <= 32; nr += 8 {
		for mr := 1; mr <= wideTiles[nr].rows; mr++ {
			genGemm512(mr, nr)
		}
	}
	for m := 1; m <= 3; m++ {
		genDot(m)
	}
	genTranspose()
	// The widths of panels: rows of A and columns of B for AVX2 (6, 16), and for AVX-512
	// (12, 32).
	for _, w := range []int{6, 16, 12, 32} {
		genPackRows(4, w)
	}
	genPause()
	genArithmetic()
	genReductions()
	genNorms()
	genActivations()
	genSoftmax()
	genOptimizer()
	genBF16()
	Generate()
	if *other != "" {
		if err := writeOther(flag.Lookup("stubs").Value.String(), *other); err != nil {
			log.Fatal(err)
		}
	}
}

// writeOther turns the generated declarations into functions that compile on
// machines without this assembly, where the dispatch never reaches them.
// Each of them panics: to be called there would be a mistake of the dispatch, which a wrong
// result would hide.
func writeOther(stubs, out string) error {
	src, err := os.ReadFile(stubs)
	if err != nil {
		return err
	}
	s := strings.ReplaceAll(string(src), "//go:noescape\n", "")
	s = regexp.MustCompile(`(?m)^(func .*)$`).ReplaceAllString(s, "$1 {\n\tpanic(noAssembly)\n}")
	s = strings.Replace(s, "package simd\n", "//go:build !amd64\n\npackage simd\n\nconst noAssembly = \"simd: assembly kernel called on an architecture without one\"\n", 1)
	return os.WriteFile(out, []byte(s), 0o644)
}
