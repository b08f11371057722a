package hf

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	"image/gif"
	_ "image/jpeg" // registers the decoder
	_ "image/png"  // registers the decoder
	"io"

	_ "golang.org/x/image/bmp"  // registers the decoder
	_ "golang.org/x/image/webp" // registers the decoder
)

// MaxImagePixels bounds the images DecodeImage accepts: a small file can
// declare a picture that would take all memory.
const MaxImagePixels = 178_956_970

// DecodeImage decodes PNG, JPEG, GIF (first frame), WebP or BMP bytes. name
// says in errors which record the bytes came from. The size is checked from
// the header before any pixel is decoded. EXIF orientation is not applied: the
// reference image processors do not apply it either.
func DecodeImage(data []byte, name string) (img image.Image, err error) {
	c, format, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %d bytes are not a readable image: %w", name, len(data), err)
	}
	if c.Width <= 0 || c.Height <= 0 {
		return nil, fmt.Errorf("%s: %s image of %d×%d pixels is empty", name, format, c.Width, c.Height)
	}
	if int64(c.Width)*int64(c.Height) > MaxImagePixels {
		return nil, fmt.Errorf("%s: %s image of %d×%d pixels exceeds %d pixels", name, format, c.Width, c.Height, MaxImagePixels)
	}
	if format == "gif" {
		img, err = firstFrame(data, c)
	} else {
		img, _, err = image.Decode(bytes.NewReader(data))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: corrupt %s image of %d bytes: %w", name, format, len(data), err)
	}
	return img, nil
}

// ReadImage is DecodeImage for a stream.
func ReadImage(r io.Reader, name string) (image.Image, error) {
	b, err := io.ReadAll(bufio.NewReader(r))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return DecodeImage(b, name)
}

// firstFrame places a GIF's first frame on its screen: a frame may cover a
// part only, the rest shows palette entry 0, as in Pillow.
func firstFrame(data []byte, c image.Config) (image.Image, error) {
	img, err := gif.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	frame, ok := img.(*image.Paletted)
	screen := image.Rect(0, 0, c.Width, c.Height)
	if !ok || frame.Rect == screen {
		return img, nil
	}
	full := image.NewPaletted(screen, frame.Palette)
	for y := frame.Rect.Min.Y; y < frame.Rect.Max.Y; y++ {
		for x := frame.Rect.Min.X; x < frame.Rect.Max.X; x++ {
			full.SetColorIndex(x, y, frame.ColorIndexAt(x, y))
		}
	}
	return full, nil
}
