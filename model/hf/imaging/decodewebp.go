package imaging

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"

	"golang.org/x/image/webp"
)

// riffChunks visits the chunks of a RIFF body until visit gives false; chunk is
// the whole with its header and padding.
// A chunk is its kind, its length, so many bytes and one more where the length is odd.
func riffChunks(data []byte, visit func(kind string, body, chunk []byte) bool) {
	for len(data) >= 8 {
		n := int(binary.LittleEndian.Uint32(data[4:]))
		end := 8 + n + n&1
		if n > len(data)-8 || !visit(string(data[:4]), data[8:8+n], data[:min(end, len(data))]) {
			return
		}
		data = data[min(end, len(data)):]
	}
}

// decodeWebP decodes a WebP picture or the first frame of an animation. The
// lossy kind stores luma and chroma of limited range, which package webp hands
// on as if they were JPEG's; they are converted as libwebp converts them.
// Alpha is not premultiplied, in the file as in the result.
func decodeWebP(data []byte) (image.Image, error) {
	still, at, canvas, err := firstWebP(data)
	if err != nil {
		return nil, err
	}
	img, err := webp.Decode(bytes.NewReader(still))
	if err != nil {
		return nil, err
	}
	switch m := img.(type) {
	case *image.YCbCr:
		img = limitedRGB(m)
	case *image.NYCbCrA:
		rgb := limitedRGB(&m.YCbCr)
		out := image.NewNRGBA(rgb.Bounds())
		for y := range rgb.H {
			for x := range rgb.W {
				p := out.Pix[4*(y*rgb.W+x):]
				copy(p[:3], rgb.Pix[3*(y*rgb.W+x):])
				p[3] = m.A[y*m.AStride+x]
			}
		}
		img = out
	}
	if canvas.Eq(img.Bounds()) || canvas.Empty() {
		return img, nil
	}
	// The rest of the canvas is transparent, or black when there is no alpha.
	full := image.NewNRGBA(canvas)
	if o, ok := img.(interface{ Opaque() bool }); ok && o.Opaque() && !hasAlpha(data) {
		for i := 3; i < len(full.Pix); i += 4 {
			full.Pix[i] = 255
		}
	}
	frame := toNRGBA(img)
	for y := range frame.Rect.Dy() {
		copy(full.Pix[full.PixOffset(at.X, at.Y+y):], frame.Pix[y*frame.Stride:(y+1)*frame.Stride])
	}
	return full, nil
}

// hasAlpha reads the flag of the extended header.
func hasAlpha(data []byte) bool {
	return len(data) > 20 && string(data[12:16]) == "VP8X" && data[20]&0x10 != 0
}

// firstWebP gives a file that holds one still picture: the file itself, or the
// first frame of an animation with its place on the canvas.
// canvas is empty for a still picture, which is its own canvas. Sizes are stored less one, places
// in steps of two.
func firstWebP(data []byte) (still []byte, at image.Point, canvas image.Rectangle, err error) {
	if len(data) < 30 || string(data[12:16]) != "VP8X" || data[20]&2 == 0 {
		return data, at, canvas, nil
	}
	// An ANMF chunk holds place, size, duration and flags in 16 bytes, and then what a
	// still file holds (the WebP container specification, "Animation").
	u24 := func(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
	canvas = image.Rect(0, 0, 1+u24(data[24:]), 1+u24(data[27:]))
	err = errors.New("the animation has no frame")
	riffChunks(data[12:], func(kind string, body, _ []byte) bool {
		if kind != "ANMF" || len(body) < 16 {
			return true
		}
		at = image.Pt(2*u24(body), 2*u24(body[3:]))
		size := image.Pt(1+u24(body[6:]), 1+u24(body[9:]))
		if !image.Rect(0, 0, size.X, size.Y).Add(at).In(canvas) {
			err = errors.New("the first frame lies outside the canvas")
			return false
		}
		err = nil
		still = []byte("RIFF\x00\x00\x00\x00WEBP")
		var alpha []byte
		riffChunks(body[16:], func(kind string, _, chunk []byte) bool {
			switch kind {
			case "ALPH":
				alpha = chunk
			case "VP8 ", "VP8L":
				if alpha != nil {
					// An extended header with the flag of alpha, before which a decoder takes no
					// ALPH chunk.
					still = append(still, "VP8X\x0a\x00\x00\x00\x10\x00\x00\x00"...)
					still = append(still, body[6:12]...)
					still = append(still, alpha...)
				}
				still = append(still, chunk...)
				return false
			}
			return true
		})
		binary.LittleEndian.PutUint32(still[4:], uint32(len(still)-8))
		return false
	})
	return still, at, canvas, err
}

// limitedRGB enlarges the chroma of 4:2:0 and converts it with ITU-R BT.601's
// limited range, in libwebp's integers (VP8YUVToR and its like in src/dsp/yuv.h).
func limitedRGB(m *image.YCbCr) RGB {
	out := RGB{make([]byte, 3*m.Rect.Dx()*m.Rect.Dy()), m.Rect.Dx(), m.Rect.Dy()}
	// Chroma has half the samples each way, an odd last one for itself.
	cw, ch := (out.W+1)/2, (out.H+1)/2
	u, v := make([]byte, out.W+2), make([]byte, out.W+2)
	for y := range out.H {
		near := y / 2
		// The row of chroma on the other side of y; at the borders the nearest itself.
		far := max(0, min(ch-1, near-1+y%2*2))
		row := func(pix []byte, y int) []byte { return pix[y*m.CStride : y*m.CStride+cw] }
		diamond(row(m.Cb, near), row(m.Cb, far), u)
		diamond(row(m.Cr, near), row(m.Cr, far), v)
		for x := range out.W {
			dst := out.Pix[3*(y*out.W+x):]
			luma := int(m.Y[y*m.YStride+x]) * 19077 >> 8
			cb, cr := int(u[x]), int(v[x])
			dst[0] = clip6(luma + cr*26149>>8 - 14234)
			dst[1] = clip6(luma - cb*6419>>8 - cr*13320>>8 + 8708)
			dst[2] = clip6(luma + cb*33050>>8 - 17685)
		}
	}
	return out
}

// clip6 takes off the 6 bits of fraction that the sums have.
func clip6(v int) byte { return byte(max(0, min(255, v>>6))) }

// diamond doubles a row of chroma: 9/16 of the nearest sample, 3/16 of the two
// beside it, 1/16 of the farthest, rounded in libwebp's two steps.
// out is longer than the picture's row by what an odd width leaves over.
func diamond(near, far, out []byte) {
	out[0] = byte((3*int(near[0]) + int(far[0]) + 2) >> 2)
	last := len(near) - 1
	for x := range last {
		a, b, c, d := int(near[x]), int(near[x+1]), int(far[x]), int(far[x+1])
		sum := a + b + c + d + 8
		out[2*x+1] = byte((a + (sum+2*(b+c))>>3) >> 1)
		out[2*x+2] = byte((b + (sum+2*(a+d))>>3) >> 1)
	}
	out[2*last+1] = byte((3*int(near[last]) + int(far[last]) + 2) >> 2)
}
