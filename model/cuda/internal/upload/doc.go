// Package upload brings host memory to the device beside the operations, on a stream of its own and through
// page-locked memory. Two rules keep both right:
//
//   - an operation waits for the copies into the buffers it touches;
//   - a copy waits for the operations that touched its buffer, and for no later
//     ones: the input of the next pass arrives while this one still computes, if
//     the caller gives it another buffer.
//
// The host waits for neither, but where the page-locked memory is full.
package upload
