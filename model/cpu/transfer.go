package cpu

import (
	"vgid/model/backend"
	"vgid/model/cpu/simd"
)

// Upload implements backend.Backend.
func (b *Backend) Upload(dst backend.Tensor, src []float32) {
	if !b.ready(backend.CheckUpload(dst, len(src))) {
		return
	}
	buf := b.buffer("upload", b.writable("upload", dst))
	if buf == nil {
		return
	}
	for i := range dst.Rows {
		o, row := dst.Off+i*dst.Stride, src[i*dst.Cols:(i+1)*dst.Cols]
		if buf.dt == backend.BF16 {
			simd.ToBF16(buf.h[o:o+dst.Cols], row)
		} else {
			copy(buf.f[o:], row)
		}
	}
}

// UploadInts implements backend.Backend.
func (b *Backend) UploadInts(dst backend.Tensor, src []int32) {
	if !b.ready(backend.CheckUploadInts(dst, len(src))) {
		return
	}
	m := b.ints("upload_ints", dst)
	if b.err != nil {
		return
	}
	for i := range m.rows {
		copy(m.d[i*m.ld:], src[i*m.cols:(i+1)*m.cols])
	}
}

// Download implements backend.Backend.
func (b *Backend) Download(dst []float32, src backend.Tensor) error {
	if !b.ready(backend.CheckDownload(len(dst), src)) {
		return b.err
	}
	buf := b.buffer("download", src)
	if buf == nil {
		return b.err
	}
	for i := range src.Rows {
		o, row := src.Off+i*src.Stride, dst[i*src.Cols:(i+1)*src.Cols]
		if buf.dt == backend.BF16 {
			simd.FromBF16(row, buf.h[o:])
		} else {
			copy(row, buf.f[o:])
		}
	}
	return nil
}

// DownloadInts implements backend.Backend.
func (b *Backend) DownloadInts(dst []int32, src backend.Tensor) error {
	if !b.ready(backend.CheckDownloadInts(len(dst), src)) {
		return b.err
	}
	m := b.ints("download_ints", src)
	if b.err != nil {
		return b.err
	}
	for i := range m.rows {
		copy(dst[i*m.cols:(i+1)*m.cols], m.d[i*m.ld:])
	}
	return nil
}

// Copy implements backend.Backend.
func (b *Backend) Copy(dst, src backend.Tensor) {
	if !b.ready(backend.CheckCopy(dst, src)) {
		return
	}
	d, s := b.buffer("copy", b.writable("copy", dst)), b.buffer("copy", src)
	if b.err != nil {
		return
	}
	n := dst.Cols
	for i := range dst.Rows {
		x, y := src.Off+i*src.Stride, dst.Off+i*dst.Stride
		switch {
		case d.dt == backend.I32:
			copy(d.i[y:y+n], s.i[x:])
		case d.dt == backend.F32 && s.dt == backend.F32:
			copy(d.f[y:y+n], s.f[x:])
		case d.dt == backend.F32:
			simd.FromBF16(d.f[y:y+n], s.h[x:])
		case s.dt == backend.F32:
			simd.ToBF16(d.h[y:y+n], s.f[x:])
		default:
			copy(d.h[y:y+n], s.h[x:])
		}
	}
}
