// Package driver is what vgid uses of CUDA: gorgonia.org/cu for devices,
// primary contexts, memory, streams, events, modules, launches and copies, and
// beside it what that package lacks (pinned host memory, allocation in stream
// order, large dynamic shared memory, graphs, handles for other processes, a
// launch in one call from Go to C), and cuBLASLt.
//
// Nothing of NVIDIA's is needed to build it: include/cuda.h is the project's
// own. Nothing is needed to run it either until Load is called: every function
// of the driver is a jump through a slot (stubs_*.S), and the slots are filled
// by opening libcuda.so.1 (load.c). Before that they answer "no device", except
// cuInit, which gorgonia.org/cu calls before main.
//
// All of it is behind the build tag cuda and needs cgo on Linux.
package driver

//go:generate go run genstubs.go
