package imaging

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/png"
	"io"
	"strings"

	"golang.org/x/image/webp"

	"vgid/model/hf/imaging/internal/jpeg"
	"vgid/model/kit/filekind"
)

// MaxPixels bounds the images Decode accepts: a small file can
// declare a picture that would take all memory. It is the limit of Pillow.
// Pillow warns from half of this on and raises DecompressionBombError beyond it
// (Image.MAX_IMAGE_PIXELS · 2).
const MaxPixels = 178_956_970

// format is a kind of image file, known by its first bytes; '?' stands for any.
// size reads no more than the header; decode is only called where header found the size bearable.
type format struct {
	name, magic string
	size        func(data []byte) (w, h int, err error)
	decode      func(data []byte) (image.Image, error)
}

// formats are those that are read.
var formats = []format{
	{"png", "\x89PNG\r\n\x1a\n", sizeBy(png.DecodeConfig), decodePNG},
	{"jpeg", "\xff\xd8", jpeg.Size, decodeJPEG},
	{"gif", "GIF8", sizeBy(gif.DecodeConfig), firstFrame},
	{"webp", "RIFF????WEBP", sizeBy(webp.DecodeConfig), decodeWebP},
	{"bmp", "BM", sizeBMP, decodeBMP},
}

// sizeBy reads a size with a decoder of the standard library's kind.
func sizeBy(config func(io.Reader) (image.Config, error)) func([]byte) (int, int, error) {
	return func(b []byte) (int, int, error) {
		c, err := config(bytes.NewReader(b))
		return c.Width, c.Height, err
	}
}

// others are files people take for images, or give instead of one.
// In their order: the last one is what any other document of tags begins with.
var others = []struct{ magic, what string }{
	{"II*\x00", "a TIFF image"},
	{"MM\x00*", "a TIFF image"},
	{"????ftypheic", "a HEIC image"},
	{"????ftypmif1", "a HEIF image"},
	{"????ftypavif", "an AVIF image"},
	{"\x00\x00\x00\x0cjP", "a JPEG 2000 image"},
	{"\xff\x0a", "a JPEG XL image"},
	{"%PDF", "a PDF document"},
	{"<svg", "an SVG drawing"},
	{"<?xml", "an XML or SVG document"},
	{"<", "an XML or HTML document"},
}

// startsLike compares the first bytes with a magic of a format.
func startsLike(data []byte, magic string) bool {
	if len(data) < len(magic) {
		return false
	}
	for i := range magic {
		if magic[i] != '?' && data[i] != magic[i] {
			return false
		}
	}
	return true
}

// formatOf tells a file's kind by its first bytes, whatever its name says.
func formatOf(data []byte) (format, error) {
	for _, f := range formats {
		if startsLike(data, f.magic) {
			return f, nil
		}
	}
	if len(data) == 0 {
		return format{}, errors.New("the image is empty (0 bytes)")
	}
	// A pointer of git-lfs or a page of a failed download has the name of the picture it stands
	// for.
	if other := filekind.StandIn(data); other != "" {
		return format{}, fmt.Errorf("this is %s", other)
	}
	const readable = "PNG, JPEG, GIF, WebP and BMP are read"
	for _, o := range others {
		if startsLike(data, o.magic) {
			return format{}, fmt.Errorf("this is %s; %s", o.what, readable)
		}
	}
	return format{}, fmt.Errorf("%d bytes are not a readable image (they begin %q); %s", len(data), data[:min(len(data), 12)], readable)
}

// Decode decodes PNG, JPEG, GIF, WebP or BMP bytes as Pillow does: of an
// animation the first frame, upright where EXIF or XMP data says how the camera
// was held, without regard to colour profiles. name says in errors which record
// the bytes came from. The size is checked from the header before any pixel is
// decoded. A picture with transparency keeps it.
// The picture shares no memory with data, which the caller may change.
func Decode(data []byte, name string) (image.Image, error) {
	f, _, _, err := header(data, name)
	if err != nil {
		return nil, err
	}
	img, err := f.decode(data)
	if err != nil {
		return nil, corrupt(name, f.name, len(data), err)
	}
	return upright(img, orientation(f.name, data)), nil
}

// Size is the size of a picture that Decode takes, as its header has it: before it
// is turned upright.
func Size(data []byte, name string) (w, h int, err error) {
	_, w, h, err = header(data, name)
	return w, h, err
}

// header tells format and size, and refuses what Decode could not give.
func header(data []byte, name string) (f format, w, h int, err error) {
	if f, err = formatOf(data); err != nil {
		return f, 0, 0, fmt.Errorf("%s: %w", name, err)
	}
	w, h, err = f.size(data)
	switch {
	case err != nil:
		err = corrupt(name, f.name, len(data), err)
	case w <= 0 || h <= 0:
		err = fmt.Errorf("%s: %s image of %d×%d pixels is empty", name, f.name, w, h)
	// The product is taken in 64 bits, as a header may claim any two numbers.
	case int64(w)*int64(h) > MaxPixels:
		err = fmt.Errorf("%s: %s image of %d×%d pixels exceeds %d pixels: scale it down first", name, f.name, w, h, MaxPixels)
	}
	return f, w, h, err
}

// corrupt leaves out the prefix that some decoders put before their errors. A
// picture of a kind that is not read is not called corrupt.
func corrupt(name, format string, size int, err error) error {
	if other := (jpeg.Unsupported)(""); errors.As(err, &other) {
		err = unread{"JPEG", string(other)}
	}
	if errors.As(err, new(unread)) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the data ends early")
	}
	return fmt.Errorf("%s: corrupt %s image of %d bytes: %s", name, format, size, strings.TrimPrefix(err.Error(), format+": "))
}

// ReadImage is Decode for a stream.
// The whole file is read first: its kind and size have to be known before any pixel is decoded.
func ReadImage(r io.Reader, name string) (image.Image, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return Decode(b, name)
}

// decodeJPEG leaves no difference to libjpeg-turbo. Pillow takes it that
// every file with four components stores the complement of its inks.
func decodeJPEG(data []byte) (image.Image, error) {
	p, err := jpeg.Decode(data)
	if err != nil {
		return nil, err
	}
	rect := image.Rect(0, 0, p.W, p.H)
	switch p.Space {
	case jpeg.Grey:
		return &image.Gray{Pix: p.Pix, Stride: p.W, Rect: rect}, nil
	case jpeg.CMYK:
		for i := range p.Pix {
			// image.CMYK takes ink, 255 for all of it.
			p.Pix[i] = 255 - p.Pix[i]
		}
		return &image.CMYK{Pix: p.Pix, Stride: 4 * p.W, Rect: rect}, nil
	}
	return RGB{p.Pix, p.W, p.H}, nil
}

// firstFrame places a GIF's first frame on its screen: a frame may cover a
// part only, the rest shows palette entry 0, as in Pillow.
// gif.Decode gives the first frame alone, without its screen.
func firstFrame(data []byte) (image.Image, error) {
	c, err := gif.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	img, err := gif.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	frame, ok := img.(*image.Paletted)
	screen := image.Rect(0, 0, c.Width, c.Height)
	// A frame may have a palette of its own, which then is the screen's as well.
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
