package backend

import (
	"fmt"
	"strings"

	"vgid/model/kit/bytesize"
)

// Purpose is what memory is held for.
type Purpose uint8

// The purposes of memory.
const (
	Other       Purpose = iota
	Weights             // of models, trained or not
	Gradients           // of what is trained
	Moments             // of the optimizer
	Activations         // and their gradients
	Workspace           // of the operation at hand
	purposes
)

func (p Purpose) String() string {
	return [...]string{"other buffers", "weights", "gradients", "optimizer moments", "activations", "workspace"}[p]
}

// MemoryUse is how many bytes are held for each purpose.
type MemoryUse [purposes]int64

// Add counts bytes, negative ones when they are given back.
func (u *MemoryUse) Add(p Purpose, bytes int64) { u[p] += bytes }

// Total is the sum over all purposes.
func (u MemoryUse) Total() int64 {
	n := int64(0)
	for _, b := range u {
		n += b
	}
	return n
}

// String lists the purposes that hold anything.
func (u MemoryUse) String() string {
	var parts []string
	for p, n := range u {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s of %s", Bytes(n), Purpose(p)))
		}
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// Accountant is a device that accounts for its memory by what it is held for.
type Accountant interface {
	// For says what buffers allocated from now on are for, and returns what was
	// said before.
	For(p Purpose) Purpose
	// Memory is what is held now.
	Memory() MemoryUse
	// Peak is what was held when most was.
	Peak() MemoryUse
}

// For tells be what the buffers are for that are allocated until the returned
// function is called: defer backend.For(be, backend.Weights)().
func For(be Backend, p Purpose) func() {
	before := be.For(p)
	return func() { be.For(before) }
}

// MemoryError is what Alloc and operations fail with when a device has no memory
// for what is asked of it. It says nothing of what to do: what lowers the need
// depends on Purpose and on the command at hand.
type MemoryError struct {
	Device      string
	Purpose     Purpose   // what the memory was asked for
	Asked       int64     // bytes
	Held        MemoryUse // by this process
	Free, Total int64     // of the device's bytes
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("%s has no memory for %s of %s: this process holds %s; %s of %s are free",
		e.Device, Bytes(e.Asked), e.Purpose, e.Held, Bytes(e.Free), Bytes(e.Total))
}

// Bytes writes a number of bytes for people.
type Bytes = bytesize.Binary
