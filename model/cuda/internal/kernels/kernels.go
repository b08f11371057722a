// Package kernels holds the CUDA kernels: their PTX, built from the .cu files
// of this folder by build.sh, and a table that says what each takes and how it
// is launched.
//
// Conventions of every kernel:
//
//   - A matrix is two parameters: a pointer to its first element and a Layout.
//     Elements are f32 or bf16, chosen per operand at run time; arithmetic is
//     f32. A pointer of 0 is an operand that is not given.
//   - Kernels loop over their work with the grid's stride, so any grid gives
//     the same result unless its doc says otherwise; the geometry functions of
//     this package give a good one. Empty work is not launched.
//   - The same inputs give the same bits. No kernel adds up with atomics.
//   - Every parameter takes one cell of 8 bytes at most, as gorgonia.org/cu
//     passes them.
package kernels

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"vgid/model/backend"
)

// Kernel is one entry point of a module.
type Kernel struct {
	Name   string
	Module string // the .cu file, without its ending
	// Params in order: "x@" is a matrix (pointer and Layout), "x*" a pointer,
	// "n:i32", "n:i64", "a:f32" a number.
	Params  string
	Threads int    // the largest block
	Doc     string // what it computes, launch geometry, scratch memory
}

// Signature is one letter per parameter cell: p pointer, v Layout, i and l
// integers of 4 and 8 bytes, f f32.
func (k Kernel) Signature() string {
	var s strings.Builder
	for _, p := range strings.Fields(k.Params) {
		switch {
		case strings.HasSuffix(p, "@"):
			s.WriteString("pv")
		case strings.HasSuffix(p, "*"):
			s.WriteByte('p')
		case strings.HasSuffix(p, ":i32"):
			s.WriteByte('i')
		case strings.HasSuffix(p, ":i64"):
			s.WriteByte('l')
		case strings.HasSuffix(p, ":f32"):
			s.WriteByte('f')
		default:
			panic(fmt.Sprintf("kernels: %s has the unknown parameter %q", k.Name, p))
		}
	}
	return s.String()
}

// All is every kernel.
func All() []Kernel {
	var all []Kernel
	for _, group := range [][]Kernel{elementwise, random, rearrange, rows, norms, reductions, optimizers, products, heads, attention} {
		all = append(all, group...)
	}
	return all
}

// Layout is the second parameter of a matrix: how it lies at its pointer.
func Layout(stride int, dt backend.DType) uint64 { return uint64(uint32(stride)) | uint64(dt)<<32 }

//go:embed ptx/*.ptx
var ptx embed.FS

// Modules gives the PTX of every module by name.
func Modules() (map[string]string, error) {
	out := map[string]string{}
	files, err := fs.Glob(ptx, "ptx/*.ptx")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		text, err := ptx.ReadFile(f)
		if err != nil {
			return nil, err
		}
		out[strings.TrimSuffix(strings.TrimPrefix(f, "ptx/"), ".ptx")] = string(text)
	}
	return out, nil
}
