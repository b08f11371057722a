// Package cuda is the backend for NVIDIA GPUs: the kernels of model/cuda/internal/kernels
// and cuBLASLt on queues of the driver (model/cuda/internal/driver).
//
// Three things make it fast, and each has its rule:
//
//   - Nothing waits for the device before Sync. Operations are queued on one
//     stream; what the host must know of their success (an index out of range)
//     the device leaves in memory that Sync fetches (fault.go).
//   - Inputs arrive beside the operations, on a stream of their own
//     (internal/upload), and gradients leave beside them on two more (hostcopy.go).
//     Events order the streams, never the host.
//   - Memory comes from the driver's pool in stream order (memory.go), so an
//     operation may free what it has just queued work on.
//
// Begin with elementwise.go for an operation, launch.go for how it reaches the
// device and matmul.go for the products.
//
// It is built with the tag cuda (make cuda). Without it, Open says so.
package cuda
