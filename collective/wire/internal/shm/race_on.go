//go:build race

package shm

import (
	"runtime"
	"unsafe"
)

// memoryOrder stands for all words of all rings: the race detector does not know that the
// two ends of a lane, when they are in one process, have the same memory at two
// addresses. What is told by one is before what is learnt by any; that is more than what is so.
var memoryOrder int

// tells comes before a word is written that another end reads.
func tells() { runtime.RaceReleaseMerge(unsafe.Pointer(&memoryOrder)) }

// learns comes after a word was read that another end has written.
func learns() { runtime.RaceAcquire(unsafe.Pointer(&memoryOrder)) }
