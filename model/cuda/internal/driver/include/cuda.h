// The part of the CUDA driver's C interface that vgid and gorgonia.org/cu need,
// written for this project so that a build asks for nothing from NVIDIA. The
// driver's binary interface is stable; this is that of CUDA 12, which later
// drivers serve too.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h> // gorgonia.org/cu calls free without asking for it

#ifdef __cplusplus
extern "C" {
#endif

#define CUDA_VERSION 12080

typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef uint32_t cuuint32_t;

typedef struct CUarray_st *CUarray;
typedef struct CUctx_st *CUcontext;
typedef struct CUevent_st *CUevent;
typedef struct CUfunc_st *CUfunction;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef struct CUgraphNode_st *CUgraphNode;
typedef struct CUlinkState_st *CUlinkState;
typedef struct CUmemPoolHandle_st *CUmemoryPool;
typedef struct CUmod_st *CUmodule;
typedef struct CUstream_st *CUstream;
typedef struct CUsurfref_st *CUsurfref;
typedef struct CUtexref_st *CUtexref;

typedef void (*CUhostFn)(void *);
typedef size_t (*CUoccupancyB2DSize)(int);

#include "cuda_constants.h"
#include "cuda_structs.h"
#include "cuda_functions.h"

#ifdef __cplusplus
}
#endif
