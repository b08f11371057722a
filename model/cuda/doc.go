// Package cuda is the backend for NVIDIA GPUs: the kernels of model/cuda/kernels
// and cuBLASLt on queues of the driver (model/cuda/driver).
//
// It is built with the tag cuda (make cuda). Without it, Open says so.
package cuda
