//go:build cuda && cgo && linux

// cublaslt.c: the few functions of cuBLASLt that are used, found when they are
// needed. All objects are made by the library itself, whose sizes differ
// between versions 12 and 13; the numbers below do not.

#include "cublaslt.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DESC_TRANSA = 3, DESC_TRANSB = 4, DESC_EPILOGUE = 7, DESC_BIAS_POINTER = 8, DESC_BIAS_TYPE = 26 };
enum { EPILOGUE_BIAS = 4 };
enum { PREF_WORKSPACE = 1, PREF_REDUCTIONS = 3, PREF_ALIGN_A = 5, PREF_ALIGN_B = 6, PREF_ALIGN_C = 7, PREF_ALIGN_D = 8 };
// The sums of a product that is split over k are float32 whatever the result is,
// and added in a fixed order: through a workspace, not in place.
enum { REDUCTION_COMPUTE_TYPE = 2 };
enum { R_32F = 0, NOT_SUPPORTED = 15 };

typedef struct {
	uint64_t algo[8];
	size_t workspace;
	int state;
	float waves;
	int reserved[4];
} heuristic;

struct vgid_lt {
	void *library, *handle;
	int (*create)(void **);
	int (*destroy)(void *);
	size_t (*version)(void);
	int (*desc_create)(void **, int, int);
	int (*desc_destroy)(void *);
	int (*desc_set)(void *, int, const void *, size_t);
	int (*layout_create)(void **, int, uint64_t, uint64_t, int64_t);
	int (*layout_destroy)(void *);
	int (*pref_create)(void **);
	int (*pref_destroy)(void *);
	int (*pref_set)(void *, int, const void *, size_t);
	int (*get_heuristic)(void *, void *, void *, void *, void *, void *, void *, int, heuristic *, int *);
	int (*matmul)(void *, void *, const void *, const void *, void *, const void *, void *, const void *, const void *,
		void *, void *, void *, const void *, void *, size_t, void *);
};

struct vgid_lt_plan {
	void *desc, *a, *b, *d;
	heuristic best;
	int bias;
};

vgid_lt *vgid_lt_open(const char *path, char *error, size_t size) {
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		snprintf(error, size, "%s", dlerror());
		return NULL;
	}
	vgid_lt *lt = calloc(1, sizeof *lt);
	lt->library = lib;
	struct {
		void *to;
		const char *name;
	} all[] = {
		{&lt->create, "cublasLtCreate"}, {&lt->destroy, "cublasLtDestroy"}, {&lt->version, "cublasLtGetVersion"},
		{&lt->desc_create, "cublasLtMatmulDescCreate"}, {&lt->desc_destroy, "cublasLtMatmulDescDestroy"},
		{&lt->desc_set, "cublasLtMatmulDescSetAttribute"}, {&lt->layout_create, "cublasLtMatrixLayoutCreate"},
		{&lt->layout_destroy, "cublasLtMatrixLayoutDestroy"}, {&lt->pref_create, "cublasLtMatmulPreferenceCreate"},
		{&lt->pref_destroy, "cublasLtMatmulPreferenceDestroy"}, {&lt->pref_set, "cublasLtMatmulPreferenceSetAttribute"},
		{&lt->get_heuristic, "cublasLtMatmulAlgoGetHeuristic"}, {&lt->matmul, "cublasLtMatmul"},
	};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		*(void **)all[i].to = dlsym(lib, all[i].name);
		if (!*(void **)all[i].to) {
			snprintf(error, size, "%s lacks %s", path, all[i].name);
			dlclose(lib);
			free(lt);
			return NULL;
		}
	}
	int status = lt->create(&lt->handle);
	if (status) {
		snprintf(error, size, "%s does not start: cublasLtCreate gives status %d", path, status);
		free(lt); // the library stays open: it may have started threads
		return NULL;
	}
	return lt;
}

size_t vgid_lt_version(vgid_lt *lt) { return lt->version(); }

void vgid_lt_close(vgid_lt *lt) {
	lt->destroy(lt->handle);
	free(lt);
}

void vgid_lt_plan_free(vgid_lt *lt, vgid_lt_plan *p) {
	if (p->desc) lt->desc_destroy(p->desc);
	if (p->a) lt->layout_destroy(p->a);
	if (p->b) lt->layout_destroy(p->b);
	if (p->d) lt->layout_destroy(p->d);
	free(p);
}

// describe makes the descriptors of a product.
static int describe(vgid_lt *lt, const vgid_lt_shape *s, vgid_lt_plan *p) {
	int32_t ta = s->trans_a, tb = s->trans_b, epilogue = EPILOGUE_BIAS, bias = s->type_bias;
	int status = lt->desc_create(&p->desc, s->compute, R_32F);
	if (!status) status = lt->desc_set(p->desc, DESC_TRANSA, &ta, sizeof ta);
	if (!status) status = lt->desc_set(p->desc, DESC_TRANSB, &tb, sizeof tb);
	p->bias = bias >= 0;
	if (!status && p->bias) status = lt->desc_set(p->desc, DESC_EPILOGUE, &epilogue, sizeof epilogue);
	if (!status && p->bias) status = lt->desc_set(p->desc, DESC_BIAS_TYPE, &bias, sizeof bias);
	if (!status && p->bias) status = lt->desc_set(p->desc, DESC_BIAS_POINTER, &s->bias, sizeof s->bias);
	if (!status) status = lt->layout_create(&p->a, s->type_a, ta ? s->k : s->m, ta ? s->m : s->k, s->lda);
	if (!status) status = lt->layout_create(&p->b, s->type_b, tb ? s->n : s->k, tb ? s->k : s->n, s->ldb);
	if (!status) status = lt->layout_create(&p->d, s->type_d, s->m, s->n, s->ldd);
	return status;
}

int vgid_lt_plan_make(vgid_lt *lt, const vgid_lt_shape *s, vgid_lt_plan **out) {
	vgid_lt_plan *p = calloc(1, sizeof *p);
	void *pref = NULL;
	uint32_t reductions = REDUCTION_COMPUTE_TYPE;
	int found = 0;
	int status = describe(lt, s, p);
	if (!status) status = lt->pref_create(&pref);
	if (!status) status = lt->pref_set(pref, PREF_WORKSPACE, &s->workspace, sizeof s->workspace);
	if (!status) status = lt->pref_set(pref, PREF_REDUCTIONS, &reductions, sizeof reductions);
	if (!status) status = lt->pref_set(pref, PREF_ALIGN_A, &s->align_a, sizeof s->align_a);
	if (!status) status = lt->pref_set(pref, PREF_ALIGN_B, &s->align_b, sizeof s->align_b);
	if (!status) status = lt->pref_set(pref, PREF_ALIGN_C, &s->align_d, sizeof s->align_d);
	if (!status) status = lt->pref_set(pref, PREF_ALIGN_D, &s->align_d, sizeof s->align_d);
	if (!status) status = lt->get_heuristic(lt->handle, p->desc, p->a, p->b, p->d, p->d, pref, 1, &p->best, &found);
	if (!status && !found) status = NOT_SUPPORTED;
	if (pref) lt->pref_destroy(pref);
	if (status) {
		vgid_lt_plan_free(lt, p);
		return status;
	}
	*out = p;
	return 0;
}

size_t vgid_lt_plan_workspace(const vgid_lt_plan *p) { return p->best.workspace; }

int vgid_lt_run(vgid_lt *lt, vgid_lt_plan *p, float alpha, uint64_t a, uint64_t b, float beta, uint64_t d,
		uint64_t bias, uint64_t workspace, uint64_t workspace_bytes, void *stream) {
	if (p->bias) {
		void *at = (void *)bias;
		int status = lt->desc_set(p->desc, DESC_BIAS_POINTER, &at, sizeof at);
		if (status) return status;
	}
	return lt->matmul(lt->handle, p->desc, &alpha, (void *)a, p->a, (void *)b, p->b, &beta, (void *)d, p->d, (void *)d,
		p->d, p->best.algo, (void *)workspace, workspace_bytes, stream);
}
