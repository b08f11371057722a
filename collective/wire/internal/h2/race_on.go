//go:build race && linux

package h2

import (
	"runtime"
	"unsafe"
)

// socketOrder stands for all sockets: what is written to one happens before what is
// read of one. That is more than what is so, as in package syscall.
var socketOrder int

// willWrite tells the race detector of memory that is about to be written to a socket.
func willWrite(vec [][]byte) {
	for _, b := range vec {
		if len(b) > 0 {
			runtime.RaceReadRange(unsafe.Pointer(unsafe.SliceData(b)), len(b))
		}
	}
	runtime.RaceReleaseMerge(unsafe.Pointer(&socketOrder))
}

// hasRead tells it of memory that n bytes of a socket were read into.
func hasRead(vec [][]byte, n int) {
	if n <= 0 {
		return
	}
	runtime.RaceAcquire(unsafe.Pointer(&socketOrder))
	for _, b := range vec {
		if k := min(n, len(b)); k > 0 {
			runtime.RaceWriteRange(unsafe.Pointer(unsafe.SliceData(b)), k)
			n -= k
		}
	}
}
