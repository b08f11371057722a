//go:build cuda && cgo && linux

package driver

/*
#include "cublaslt.h"
#include <cuda.h>

static int lt_run(CUcontext c, vgid_lt *lt, vgid_lt_plan *p, float alpha, uint64_t a, uint64_t b, float beta, uint64_t d,
		uint64_t bias, uint64_t workspace, uint64_t bytes, CUstream s) {
	return cuCtxSetCurrent(c) ? 1 : vgid_lt_run(lt, p, alpha, a, b, beta, d, bias, workspace, bytes, s);
}
static int lt_plan(CUcontext c, vgid_lt *lt, const vgid_lt_shape *s, vgid_lt_plan **p) {
	return cuCtxSetCurrent(c) ? 1 : vgid_lt_plan_make(lt, s, p);
}
static vgid_lt *lt_open(CUcontext c, const char *path, char *error, size_t size) {
	cuCtxSetCurrent(c);
	return vgid_lt_open(path, error, size);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// Lt is cuBLASLt on one device.
type Lt struct {
	d     *Device
	lt    *C.vgid_lt
	path  string
	plans map[Product]*C.vgid_lt_plan // nil: it has no algorithm
}

// ErrUnsupported is what cuBLASLt answers to a product it has no algorithm for.
var ErrUnsupported = errors.New("cuBLASLt has no algorithm for this product")

// Compute is how products are added up.
type Compute int

// Values of cublasComputeType_t.
const (
	Float32 Compute = 68 // all of f32
	TF32    Compute = 77 // f32 operands are rounded to 10 bits of mantissa
)

// Type is an element type, a value of cudaDataType.
type Type int

// The types of operands.
const (
	R32F  Type = 0
	R16BF Type = 14
	None  Type = -1 // no bias
)

// Product is a product in row-major terms: d [M, N] = alpha·op(a)·op(b) + beta·d,
// plus a bias of N elements. It is the key of the cache of plans.
type Product struct {
	A, B, D, Bias          Type
	Compute                Compute
	TransA, TransB         bool
	M, N, K                int
	LDA, LDB, LDD          int
	AlignA, AlignB, AlignD uint8 // bytes, powers of two
	Workspace              int   // bytes that may be used
}

// maxPlans bounds the cache: batches of ever new lengths would fill it.
const maxPlans = 4096

// OpenLt opens the library at path, or where the dynamic linker finds it, on the
// device.
func (d *Device) OpenLt(path string) (*Lt, error) {
	var text [512]byte
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	lt := C.lt_open(d.c(), name, (*C.char)(unsafe.Pointer(&text[0])), C.size_t(len(text)))
	if lt == nil {
		why, _, _ := strings.Cut(string(text[:]), "\x00")
		return nil, errors.New(why)
	}
	return &Lt{d: d, lt: lt, path: path, plans: map[Product]*C.vgid_lt_plan{}}, nil
}

// Version is that of the library, e.g. 130001.
func (l *Lt) Version() int { return int(C.vgid_lt_version(l.lt)) }

// Path is where it was found.
func (l *Lt) Path() string { return l.path }

// Close frees the plans and the handle.
func (l *Lt) Close() {
	l.forget()
	C.vgid_lt_close(l.lt)
}

func (l *Lt) forget() {
	for _, p := range l.plans {
		if p != nil {
			C.vgid_lt_plan_free(l.lt, p)
		}
	}
	clear(l.plans)
}

// Multiply queues a product. It returns ErrUnsupported when the library has no
// algorithm, and nothing is queued then. temp gives memory for the time of the
// product, 0 when there is none: an algorithm that needs none then has to do.
func (l *Lt) Multiply(s *Stream, p Product, alpha float32, a, b Ptr, beta float32, d, bias Ptr, temp func(bytes int) Ptr) error {
	plan, ok := l.plans[p]
	if !ok {
		if len(l.plans) >= maxPlans {
			l.forget()
		}
		shape := columnMajor(p)
		shape.bias = C.uint64_t(bias)
		if status := C.lt_plan(l.d.c(), l.lt, &shape, &plan); status != 0 && !refuses(status) {
			return fmt.Errorf("cuBLASLt: no plan for %+v: %s", p, ltStatus(status))
		}
		l.plans[p] = plan
	}
	if plan == nil {
		return ErrUnsupported
	}
	bytes := C.vgid_lt_plan_workspace(plan)
	workspace := Ptr(0)
	if bytes > 0 {
		if workspace = temp(int(bytes)); workspace == 0 {
			p.Workspace = 0
			return l.Multiply(s, p, alpha, a, b, beta, d, bias, temp)
		}
	}
	// A row-major matrix is its transpose in column-major order, so dᵀ = bᵀ·aᵀ:
	// the operands change places.
	status := C.lt_run(l.d.c(), l.lt, plan, C.float(alpha), C.uint64_t(b), C.uint64_t(a), C.float(beta), C.uint64_t(d),
		C.uint64_t(bias), C.uint64_t(workspace), C.uint64_t(bytes), s.c())
	switch {
	case status == 0:
		return nil
	case refuses(status):
		C.vgid_lt_plan_free(l.lt, plan)
		l.plans[p] = nil
		return ErrUnsupported
	}
	return fmt.Errorf("cuBLASLt: product %+v: %s", p, ltStatus(status))
}

// refuses tells a cublasStatus_t of a product that is not possible, of which
// nothing is queued.
func refuses(status C.int) bool { return status == 7 || status == 15 }

// ltStatuses are values of cublasStatus_t.
var ltStatuses = map[C.int]string{
	1: "NOT_INITIALIZED", 3: "ALLOC_FAILED", 7: "INVALID_VALUE", 8: "ARCH_MISMATCH", 11: "MAPPING_ERROR",
	13: "EXECUTION_FAILED", 14: "INTERNAL_ERROR", 15: "NOT_SUPPORTED",
}

func ltStatus(status C.int) string {
	if name, ok := ltStatuses[status]; ok {
		return "CUBLAS_STATUS_" + name
	}
	return fmt.Sprintf("status %d", int(status))
}

func columnMajor(p Product) C.vgid_lt_shape {
	trans := map[bool]C.int{true: 1}
	return C.vgid_lt_shape{
		type_a: C.int(p.B), type_b: C.int(p.A), type_d: C.int(p.D), type_bias: C.int(p.Bias),
		compute: C.int(p.Compute), trans_a: trans[p.TransB], trans_b: trans[p.TransA],
		m: C.uint64_t(p.N), n: C.uint64_t(p.M), k: C.uint64_t(p.K),
		lda: C.int64_t(p.LDB), ldb: C.int64_t(p.LDA), ldd: C.int64_t(p.LDD),
		align_a: C.uint32_t(p.AlignB), align_b: C.uint32_t(p.AlignA), align_d: C.uint32_t(p.AlignD),
		workspace: C.uint64_t(p.Workspace),
	}
}
