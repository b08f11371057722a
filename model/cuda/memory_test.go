//go:build cuda && cgo && linux

package cuda

import (
	"testing"

	"vgid/model/backend"
)

// Memory that was given back is free, though the pool keeps it: a model that is
// loaded after another is not refused, nor that of a worker on the same device.
func TestFreeBytesSimulated(t *testing.T) {
	b := openTest(Options{})(t)
	dev := b.Device().(*Device).dev
	if !dev.MemoryPools {
		t.Skip("the device has no pool")
	}
	free := func() int64 {
		n, err := b.FreeBytes()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const bytes = 32 << 20
	before := free()
	buf, err := b.Alloc(backend.F32, bytes/4)
	if err != nil {
		t.Fatal(err)
	}
	if n := free(); n != before-bytes {
		t.Errorf("with %d bytes taken of %d, %d are free", bytes, before, n)
	}
	b.Free(buf)
	if err := b.Sync(); err != nil {
		t.Fatal(err)
	}
	if shown, _, err := dev.MemoryInfo(); err != nil || shown > before-bytes {
		t.Fatalf("%d bytes are free for others, %v: the pool does not keep what was given back", shown, err)
	}
	if n := free(); n != before {
		t.Errorf("all given back, %d bytes are free, %d were", n, before)
	}
	if shown, _, err := dev.MemoryInfo(); err != nil || shown != before {
		t.Errorf("asked for, %d bytes are free for others, %d for us, %v", shown, before, err)
	}
}
