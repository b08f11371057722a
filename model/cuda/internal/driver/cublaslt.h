#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct vgid_lt vgid_lt;
typedef struct vgid_lt_plan vgid_lt_plan;

// vgid_lt_shape is a product in cuBLASLt's column-major terms:
// D [m, n] = alpha · op(A) · op(B) + beta · D (+ bias along m).
typedef struct {
	int type_a, type_b, type_d, type_bias; // CUDA_R_*; type_bias -1: no bias
	int compute;                           // CUBLAS_COMPUTE_*
	int trans_a, trans_b;
	uint64_t m, n, k;
	int64_t lda, ldb, ldd;
	uint32_t align_a, align_b, align_d; // of the addresses, bytes
	uint64_t bias;                      // address; its alignment counts
	uint64_t workspace;                 // most that may be used, bytes
} vgid_lt_shape;

// vgid_lt_open opens the library at path and makes a handle; NULL with text in
// error when it cannot be used.
vgid_lt *vgid_lt_open(const char *path, char *error, size_t size);
size_t vgid_lt_version(vgid_lt *lt);
void vgid_lt_close(vgid_lt *lt);

// vgid_lt_plan_make asks for an algorithm. It returns a cublasStatus_t.
int vgid_lt_plan_make(vgid_lt *lt, const vgid_lt_shape *shape, vgid_lt_plan **plan);
size_t vgid_lt_plan_workspace(const vgid_lt_plan *plan); // bytes that it needs
void vgid_lt_plan_free(vgid_lt *lt, vgid_lt_plan *plan);

// vgid_lt_run queues a product. It returns a cublasStatus_t.
int vgid_lt_run(vgid_lt *lt, vgid_lt_plan *plan, float alpha, uint64_t a, uint64_t b, float beta, uint64_t d,
	uint64_t bias, uint64_t workspace, uint64_t workspace_bytes, void *stream);
