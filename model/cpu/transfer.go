package cpu

import (
	"vgid/model/backend"
	"vgid/model/cpu/internal/simd"
)

// Upload implements backend.Device.
//
// The copy is done when it returns, so the caller has its slice back at once.
func (b *Device) Upload(dst backend.Tensor, src []float32) {
	buf := dst.Buf.(*buffer)
	for i := range dst.Rows {
		o, row := dst.Off+i*dst.Stride, src[i*dst.Cols:(i+1)*dst.Cols]
		if buf.DType() == backend.BF16 {
			simd.ToBF16(buf.h[o:o+dst.Cols], row)
		} else {
			copy(buf.f[o:], row)
		}
	}
}

// UploadInts implements backend.Device.
func (b *Device) UploadInts(dst backend.Tensor, src []int32) {
	m := intsOf(dst)
	for i := range m.rows {
		copy(m.d[i*m.ld:], src[i*m.cols:(i+1)*m.cols])
	}
}

// Download implements backend.Device.
func (b *Device) Download(dst []float32, src backend.Tensor) {
	buf := src.Buf.(*buffer)
	for i := range src.Rows {
		o, row := src.Off+i*src.Stride, dst[i*src.Cols:(i+1)*src.Cols]
		if buf.DType() == backend.BF16 {
			simd.FromBF16(row, buf.h[o:])
		} else {
			copy(row, buf.f[o:])
		}
	}
}

// DownloadInts implements backend.Device.
func (b *Device) DownloadInts(dst []int32, src backend.Tensor) {
	m := intsOf(src)
	for i := range m.rows {
		copy(dst[i*m.cols:(i+1)*m.cols], m.d[i*m.ld:])
	}
}

// Copy implements backend.Device.
func (b *Device) Copy(dst, src backend.Tensor) {
	d, s := dst.Buf.(*buffer), src.Buf.(*buffer)
	to, from := d.DType(), s.DType()
	n := dst.Cols
	for i := range dst.Rows {
		x, y := src.Off+i*src.Stride, dst.Off+i*dst.Stride
		switch {
		case to == backend.I32:
			copy(d.i[y:y+n], s.i[x:])
		case to == backend.F32 && from == backend.F32:
			copy(d.f[y:y+n], s.f[x:])
		case to == backend.F32:
			simd.FromBF16(d.f[y:y+n], s.h[x:])
		case from == backend.F32:
			simd.ToBF16(d.h[y:y+n], s.f[x:])
		default:
			copy(d.h[y:y+n], s.h[x:])
		}
	}
}

// Host implements backend.HostMemory.
func (b *Device) Host(t backend.Tensor) []float32 {
	n := t.Rows * t.Cols
	return t.Buf.(*buffer).f[t.Off : t.Off+n : t.Off+n]
}
