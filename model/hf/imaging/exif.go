package imaging

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"image"
	"regexp"
	"strings"
)

// orientation is how a camera was held, 1 (upright) to 8, from a file's EXIF
// data or else its XMP data, where Pillow's exif_transpose looks for it.
func orientation(format string, data []byte) int {
	var exif, xmp []byte
	switch format {
	case "jpeg":
		exif, xmp = jpegMeta(data)
	case "png":
		exif, xmp = pngMeta(data)
	case "webp":
		riffChunks(data[12:], func(kind string, body, _ []byte) bool {
			switch kind {
			case "EXIF":
				exif = body
			case "XMP ":
				xmp = body
			}
			return true
		})
	}
	// EXIF's own word counts where it is there, whatever XMP says.
	if o, ok := exifOrientation(exif); ok {
		return o
	}
	if m := xmpOrientation.FindSubmatch(xmp); m != nil {
		return int(m[1][0] - '0')
	}
	return 1
}

// xmpOrientation finds the field in either spelling of RDF, as Pillow does.
var xmpOrientation = regexp.MustCompile(`tiff:Orientation(?:="|>)([0-9])`)

// jpegMeta gives the EXIF and XMP segments before the picture's data.
// A segment is 0xff, a kind and a length that counts itself (T.81, B.1.1.4). Behind the start of
// scan (0xda) there is compressed data, in which nothing is looked for.
func jpegMeta(data []byte) (exif, xmp []byte) {
	const xmpName = "http://ns.adobe.com/xap/1.0/\x00"
	for at := 2; at+4 <= len(data) && data[at] == 0xff; {
		kind, n := data[at+1], int(binary.BigEndian.Uint16(data[at+2:]))
		if kind == 0xff { // padding
			at++
			continue
		}
		if kind == 0xda || n < 2 || at+2+n > len(data) {
			break
		}
		if body := data[at+4 : at+2+n]; kind == 0xe1 {
			if b, ok := bytes.CutPrefix(body, []byte("Exif\x00\x00")); ok && exif == nil {
				exif = b
			}
			if b, ok := bytes.CutPrefix(body, []byte(xmpName)); ok {
				xmp = b
			}
		}
		at += 2 + n
	}
	return exif, xmp
}

// pngMeta gives the eXIf chunk, or the hexadecimal text ImageMagick writes, and
// the XMP text.
func pngMeta(data []byte) (exif, xmp []byte) {
	pngChunks(data, func(_ int, kind string, body []byte) bool {
		key, text, _ := bytes.Cut(body, []byte{0})
		switch {
		case kind == "eXIf":
			exif = body
		case kind == "tEXt" && string(key) == "Raw profile type exif" && exif == nil:
			// An empty line, the kind and the length stand before the data.
			if lines := strings.SplitN(string(text), "\n", 4); len(lines) == 4 {
				exif, _ = hex.DecodeString(strings.ReplaceAll(lines[3], "\n", ""))
			}
		case kind == "iTXt" && string(key) == "XML:com.adobe.xmp" && len(text) > 2 && text[0] == 0:
			xmp = text[2:] // the language and the translated key stand before it
		}
		return true
	})
	return exif, xmp
}

// exifOrientation reads tag 0x0112 of the first directory. The data is a small TIFF
// file: its byte order, the place of the directory, and there entries of 12 bytes (tag,
// type, count, value).
// What does not fit this form says nothing: a picture is not refused for its metadata.
func exifOrientation(b []byte) (int, bool) {
	b = bytes.TrimPrefix(b, []byte("Exif\x00\x00"))
	if len(b) < 8 {
		return 0, false
	}
	var order binary.ByteOrder = binary.BigEndian
	if string(b[:2]) == "II" {
		order = binary.LittleEndian
	} else if string(b[:2]) != "MM" {
		return 0, false
	}
	at := int64(order.Uint32(b[4:]))
	if at+2 > int64(len(b)) {
		return 0, false
	}
	for i := range int64(order.Uint16(b[at:])) {
		e := at + 2 + 12*i
		if e+12 > int64(len(b)) {
			break
		}
		if tag := b[e : e+12]; order.Uint16(tag) == 0x0112 && order.Uint32(tag[4:]) == 1 {
			switch order.Uint16(tag[2:]) {
			case 1: // byte
				return int(tag[8]), true
			case 3: // short
				return int(order.Uint16(tag[8:])), true
			case 4: // long
				return int(min(order.Uint32(tag[8:]), 255)), true
			}
		}
	}
	return 0, false
}

// upright turns and mirrors a picture by its EXIF orientation.
// Values that are none of EXIF's eight leave the picture as it is.
func upright(img image.Image, orientation int) image.Image {
	if orientation < 2 || orientation > 8 {
		return img
	}
	if rgb, ok := img.(RGB); ok {
		out := RGB{make([]byte, len(rgb.Pix)), rgb.W, rgb.H}
		if orientation > 4 {
			out.W, out.H = rgb.H, rgb.W
		}
		turn(out.Pix, rgb.Pix, rgb.W, rgb.H, 3, orientation)
		return out
	}
	in := toNRGBA(img)
	w, h := in.Rect.Dx(), in.Rect.Dy()
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	if orientation > 4 {
		out = image.NewNRGBA(image.Rect(0, 0, h, w))
	}
	turn(out.Pix, in.Pix, w, h, 4, orientation)
	return out
}

// turn copies w × h pixels of n bytes to where they belong.
// dst is w wide for the orientations up to 4 and h wide for those beyond, which exchange the sides.
func turn(dst, src []byte, w, h, n, orientation int) {
	for y := range h {
		for x := range w {
			var to int
			switch orientation {
			case 2: // mirrored
				to = y*w + w - 1 - x
			case 3: // upside down
				to = (h-1-y)*w + w - 1 - x
			case 4:
				to = (h-1-y)*w + x
			case 5:
				to = x*h + y
			case 6: // to be turned clockwise
				to = x*h + h - 1 - y
			case 7:
				to = (w-1-x)*h + h - 1 - y
			case 8: // to be turned counter-clockwise
				to = (w-1-x)*h + y
			}
			copy(dst[n*to:n*to+n], src[n*(y*w+x):])
		}
	}
}
