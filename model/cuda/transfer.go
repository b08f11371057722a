//go:build cuda && cgo && linux

package cuda

import (
	"unsafe"

	"vgid/model/backend"
	"vgid/model/cuda/internal/driver"
)

// bytesOf is the memory of v itself, in the machine's byte order, which is the device's.
func bytesOf[T float32 | int32](v []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

// Upload implements backend.Device.
func (b *Device) Upload(dst backend.Tensor, src []float32) {
	b.upload(dst, backend.F32, bytesOf(src))
}

// UploadInts implements backend.Device.
func (b *Device) UploadInts(dst backend.Tensor, src []int32) {
	b.upload(dst, backend.I32, bytesOf(src))
}

// upload moves dense host values of 4 bytes, directly where they end up dense
// and of the same type, else through memory that a kernel spreads them from.
func (b *Device) upload(to backend.Tensor, dt backend.DType, src []byte) {
	if len(src) == 0 {
		return
	}
	buf := to.Buf.(*buffer)
	dst := place(buf, to)
	if dst.dt == dt && (dst.stride == dst.cols || dst.rows == 1) {
		if b.Err() == nil {
			b.Fail(b.uploads.Stage(&buf.uses, dst.ptr, src))
		}
		return
	}
	b.touch(buf)
	per := max(1, b.uploads.Most()/(4*dst.cols)) // rows at a time
	for r := 0; r < dst.rows && b.Err() == nil; r += per {
		n := min(per, dst.rows-r)
		t := dense(b.temp(dt, n*dst.cols), dt, n, dst.cols)
		b.stageTemp(t.ptr, src[4*r*dst.cols:4*(r+n)*dst.cols])
		b.copy(dst.rowRange(r, r+n), t)
		b.done()
	}
}

// stageTemp uploads to memory of the operation at hand.
func (b *Device) stageTemp(dst driver.Ptr, src []byte) {
	if b.Err() == nil {
		b.Fail(b.uploads.StageTemp(dst, src))
	}
}

// Download implements backend.Device.
func (b *Device) Download(dst []float32, src backend.Tensor) {
	b.download(bytesOf(dst), backend.F32, b.operand(src))
}

// DownloadInts implements backend.Device.
func (b *Device) DownloadInts(dst []int32, src backend.Tensor) {
	b.download(bytesOf(dst), backend.I32, b.operand(src))
}

// The report of faults is fetched with it, since a download is a wait like Sync.
func (b *Device) download(dst []byte, dt backend.DType, src operand) {
	if b.Err() == nil {
		b.Fail(b.fault.fetch(b.stream))
	}
	direct := src.dt == dt && (src.stride == src.cols || src.rows == 1)
	per := max(1, len(b.back)/4/max(1, src.cols))
	for r := 0; r < src.rows && src.cols > 0 && !direct && b.Err() == nil; r += per {
		n := min(per, src.rows-r)
		t := dense(b.temp(dt, n*src.cols), dt, n, src.cols)
		b.copy(t, src.rowRange(r, r+n))
		b.unstage(dst[4*r*src.cols:4*(r+n)*src.cols], t.ptr)
		b.done()
	}
	if direct {
		b.unstage(dst, src.ptr)
	}
	if b.Err() == nil {
		b.Fail(b.stream.Synchronize())
	}
	if b.Err() == nil {
		b.Fail(b.fault.read())
	}
}

// unstage copies device memory to the host and waits for it.
func (b *Device) unstage(dst []byte, src driver.Ptr) {
	for len(dst) > 0 && b.Err() == nil {
		n := min(len(dst), len(b.back))
		b.Fail(b.stream.Download(b.back[:n], src))
		if b.Err() == nil {
			b.Fail(b.stream.Synchronize())
		}
		copy(dst, b.back[:n])
		dst, src = dst[n:], src+driver.Ptr(n)
	}
}

// Copy implements backend.Device.
func (b *Device) Copy(dst, src backend.Tensor) {
	b.copy(b.operand(dst), b.operand(src))
}

// copy queues the conversion of a matrix.
// Shapes are equal; types may differ, and a narrower one rounds to nearest even.
func (b *Device) copy(dst, src operand) {
	if b.Err() != nil {
		return
	}
	rows, cols := flat(dst, src)
	if rows == 1 && dst.dt == src.dt && cols > 0 {
		b.Fail(b.stream.Copy(dst.ptr, src.ptr, int64(cols*dst.dt.Size())))
		return
	}
	b.begin().mat(dst, src)
	b.elementwise("copy", rows, cols)
}
