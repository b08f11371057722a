package hf

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sort"

	"vgid/model/kit/safefile"
)

// NamedTensor is one tensor to be written: row-major Data of Shape, stored as
// DType (F32, F16 or BF16, rounded to nearest even).
type NamedTensor struct {
	Name  string
	Shape []int
	DType string
	Data  []float32
}

// Stream is a tensor to be written whose bytes are made when their turn comes,
// so that a model is never in memory as a whole. One of Raw and Rows is set.
type Stream struct {
	Name string
	TensorInfo
	// Raw gives the bytes as they are to be stored, of any DType.
	Raw func() ([]byte, error)
	// Rows fills dst with rows of the first dimension from one on, as many as
	// it holds; DType is F32, F16 or BF16.
	Rows func(dst []float32, from int) error
}

// streamed is t as a Stream of one piece of memory.
func streamed(t NamedTensor) Stream {
	info := TensorInfo{DType: t.DType, Shape: t.Shape}
	width := info.rowElements()
	return Stream{Name: t.Name, TensorInfo: info, Rows: func(dst []float32, from int) error {
		copy(dst, t.Data[from*width:])
		return nil
	}}
}

// rowElements is the number of elements of a row of the first dimension; a
// scalar is one row.
func (t TensorInfo) rowElements() int {
	if len(t.Shape) == 0 || t.Shape[0] == 0 {
		return t.Elements()
	}
	return t.Elements() / t.Shape[0]
}

// Bytes is the tensor's size in files.
func (t TensorInfo) Bytes() int64 { return int64(t.Elements()) * dtypeBits[t.DType] / 8 }

// checkStreams refuses what could not be read again.
// It looks at all of them before the first byte is written.
func checkStreams(tensors []Stream) error {
	seen := map[string]bool{}
	for _, t := range tensors {
		switch {
		case t.Name == "" || t.Name == "__metadata__":
			return fmt.Errorf("tensor name %q cannot be stored", t.Name)
		case seen[t.Name]:
			return fmt.Errorf("tensor %q: name given twice", t.Name)
		case t.Raw == nil && t.DType != "F32" && t.DType != "F16" && t.DType != "BF16":
			return fmt.Errorf("tensor %q: dtype %q cannot be written, use F32, F16 or BF16", t.Name, t.DType)
		}
		seen[t.Name] = true
		for _, d := range t.Shape {
			if d < 0 {
				return fmt.Errorf("tensor %q: negative dimension in shape %v", t.Name, t.Shape)
			}
		}
	}
	return nil
}

// streams checks tensors and makes Streams of them.
func streams(tensors []NamedTensor) ([]Stream, error) {
	out := make([]Stream, len(tensors))
	for i, t := range tensors {
		out[i] = streamed(t)
	}
	if err := checkStreams(out); err != nil {
		return nil, err
	}
	for _, t := range tensors {
		if n := (TensorInfo{Shape: t.Shape}).Elements(); n != len(t.Data) {
			return nil, fmt.Errorf("tensor %q: shape %v has %d elements, data %d", t.Name, t.Shape, n, len(t.Data))
		}
	}
	return out, nil
}

// WriteSafetensors writes one safetensors file atomically: widest dtypes
// first, then by name, the layout of the reference implementation, so that
// elements stay aligned.
func WriteSafetensors(path string, tensors []NamedTensor, metadata map[string]string) error {
	list, err := streams(tensors)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return WriteStreams(path, list, metadata)
}

// WriteStreams is WriteSafetensors of tensors that are made as they are written.
// A tensor that holds NaN or infinite values, or would once it is rounded to its
// dtype, is refused, and no file appears: what reads it later would compute
// nonsense without a word.
func WriteStreams(path string, tensors []Stream, metadata map[string]string) error {
	if err := checkStreams(tensors); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	// Wide types first keeps each tensor aligned to its own elements: sizes before it
	// are multiples of them.
	list := append([]Stream(nil), tensors...)
	sort.SliceStable(list, func(i, j int) bool {
		a, b := dtypeBits[list[i].DType], dtypeBits[list[j].DType]
		if a != b {
			return a > b
		}
		return list[i].Name < list[j].Name
	})
	head, err := encodeHeader(list, metadata)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return safefile.Write(path, func(w io.Writer) error {
		if _, err := w.Write(head); err != nil {
			return err
		}
		var buf streamBuffer
		for _, t := range list {
			if err := buf.write(w, t); err != nil {
				return fmt.Errorf("tensor %q: %w", t.Name, err)
			}
		}
		return nil
	})
}

// encodeHeader makes the length and the JSON, padded so the data is 8-aligned.
// A JSON object of Go's maps is written in the order of names; readers go by offsets.
func encodeHeader(list []Stream, metadata map[string]string) ([]byte, error) {
	type info struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	obj := make(map[string]any, len(list)+1)
	if len(metadata) > 0 {
		obj["__metadata__"] = metadata
	}
	var at int64
	for _, t := range list {
		shape := t.Shape
		if shape == nil {
			shape = []int{}
		}
		end := at + t.Bytes()
		obj[t.Name] = info{t.DType, shape, [2]int64{at, end}}
		at = end
	}
	js, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	for len(js)%8 != 0 {
		js = append(js, ' ')
	}
	if len(js) > maxHeader {
		return nil, fmt.Errorf("header of %d bytes exceeds %d", len(js), maxHeader)
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(js))), js...), nil
}

// streamBuffer holds the rows that are on their way to a file.
// It grows to the largest rows and is used for all tensors of a file.
type streamBuffer struct {
	values []float32
	bytes  []byte
}

// streamElements is about how many elements are made at a time.
const streamElements = 1 << 20

// write writes a tensor, a number of rows at a time. What is unfit shows only when all
// of it was seen; the file, which is not whole then, never gets its name.
func (b *streamBuffer) write(w io.Writer, t Stream) error {
	if t.Raw != nil {
		raw, err := t.Raw()
		if err == nil && int64(len(raw)) != t.Bytes() {
			err = fmt.Errorf("%s %v needs %d bytes, the source gives %d", t.DType, t.Shape, t.Bytes(), len(raw))
		}
		if err == nil {
			err = (&fitness{broken: NotFinite(raw, t.DType)}).err(t.TensorInfo)
		}
		if err == nil {
			_, err = w.Write(raw)
		}
		return err
	}
	var fit fitness
	width := t.rowElements()
	if width == 0 {
		return nil
	}
	rows, per := t.Elements()/width, max(1, streamElements/width)
	size := int(elementBytes(t.DType))
	for from := 0; from < rows; from += per {
		n := min(per, rows-from) * width
		if cap(b.values) < n {
			b.values, b.bytes = make([]float32, n), make([]byte, 4*n)
		}
		values, raw := b.values[:n], b.bytes[:n*size]
		if err := t.Rows(values, from); err != nil {
			return err
		}
		fit.add(values, t.DType)
		encodeF32(raw, values, t.DType)
		if _, err := w.Write(raw); err != nil {
			return err
		}
	}
	return fit.err(t.TensorInfo)
}
