package imaging

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/png"
)

// pngChunks visits the chunks of a PNG file until visit gives false. at is where
// the chunk begins. Damage ends the walk; the decoder reports it.
// A chunk is its length, its kind, so many bytes and a checksum, four bytes each but the third.
// The checksum is the decoder's to compare.
func pngChunks(data []byte, visit func(at int, kind string, body []byte) bool) {
	for at := 8; at+12 <= len(data); {
		n := int(binary.BigEndian.Uint32(data[at:]))
		if n > len(data)-at-12 || !visit(at, string(data[at+4:at+8]), data[at+8:at+8+n]) {
			return
		}
		at += 12 + n
	}
}

// decodePNG gives what Pillow gives, which is its own in two cases: samples of
// 16 bits in greyscale are cut off at 255 instead of scaled down, and a
// transparent colour is compared after its samples became 8 bits.
func decodePNG(data []byte) (image.Image, error) {
	if len(data) < 26 {
		return png.Decode(bytes.NewReader(data)) // which says what is wrong
	}
	// Both stand in IHDR, the first chunk. Kind 0 is grey, 2 true colour.
	depth, kind := data[24], data[25]
	grey := kind == 0
	if !(grey && (depth == 2 || depth == 4 || depth == 16)) && !(kind == 2 && depth == 16) {
		return png.Decode(bytes.NewReader(data))
	}
	// The decoder is given the file without its tRNS chunk: it would compare 16 bits.
	var key []byte // the transparent colour, 2 bytes a sample
	pngChunks(data, func(at int, kind string, body []byte) bool {
		if kind == "tRNS" && len(body) >= 2 && (grey || len(body) >= 6) {
			key = body
			data = append(bytes.Clone(data[:at]), data[at+12+len(body):]...)
		}
		return kind != "tRNS" && kind != "IDAT"
	})
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if wide, ok := img.(*image.Gray16); ok { // Pillow cuts off what RGB cannot hold
		narrow := image.NewGray(wide.Rect)
		for i := range narrow.Pix {
			narrow.Pix[i] = byte(min(255, binary.BigEndian.Uint16(wide.Pix[2*i:])))
		}
		img = narrow
	}
	if key == nil {
		return img, nil
	}
	// The lower byte of each: a key has two bytes a sample, whatever the depth.
	k := [3]byte{key[1], key[1], key[1]}
	if !grey {
		k = [3]byte{key[1], key[3], key[5]}
	}
	// Alpha 0 alone: Pillow keeps the colour, too, which overWhite then covers.
	out := toNRGBA(img)
	for p := out.Pix; len(p) > 0; p = p[4:] {
		if [3]byte(p) == k {
			p[3] = 0
		}
	}
	return out, nil
}
