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

func main() {
	other := flag.String("other", "", "file for the stubs of other architectures")
	flag.Parse()
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
