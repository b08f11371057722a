package hf

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
)

// maxHeader bounds the JSON header of a safetensors file, as the format's
// reference implementation does.
const maxHeader = 100 << 20

// TensorInfo describes one stored tensor.
type TensorInfo struct {
	DType string // safetensors name: F32, F16, BF16, …
	Shape []int  // empty for a scalar
}

// Elements is the product of the shape, 1 for a scalar.
// Of a tensor that was read it does not overflow: decodeEntry refuses shapes whose product does.
func (t TensorInfo) Elements() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// entry is one tensor of a header; start and end count from the first data byte.
// The data begins behind the header: offsets of the format do not count that.
// end − start is the size that dtype and shape give; entries of a file have no gap between them.
type entry struct {
	TensorInfo
	name       string
	start, end int64
}

// headerLength reads the 8-byte length at the start of a file of size bytes. A file of
// another format gives a number out of range here, nearly always.
func headerLength(first []byte, size int64) (int64, error) {
	if len(first) < 8 {
		return 0, fmt.Errorf("truncated: a safetensors file starts with an 8-byte header length, found %d bytes", len(first))
	}
	n := binary.LittleEndian.Uint64(first)
	if n > maxHeader {
		return 0, fmt.Errorf("header length %d exceeds %d bytes: not a safetensors file", n, maxHeader)
	}
	if int64(n) > size-8 {
		return 0, fmt.Errorf("truncated: the header needs %d bytes, found %d", n, size-8)
	}
	return int64(n), nil
}

// parseHeader validates the JSON header of a file that holds data bytes after
// it, as strictly as the reference implementation, so that nothing is hidden in a
// file and no tensor reaches over another: known dtypes, bytes = dtype × shape, no holes, overlaps, duplicate names
// or bytes left over. Entries come back in file order.
func parseHeader(head []byte, data int64) ([]entry, map[string]string, error) {
	dec := json.NewDecoder(bytes.NewReader(head))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, fmt.Errorf("header is not a JSON object")
	}
	var list []entry
	var meta map[string]string
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, nil, fmt.Errorf("header: %w", err)
		}
		name := t.(string) // the decoder accepts nothing else as a key
		if seen[name] {
			return nil, nil, fmt.Errorf("tensor %q: name appears twice in the header", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			if err := dec.Decode(&meta); err != nil {
				return nil, nil, fmt.Errorf("header: __metadata__: %w", err)
			}
			continue
		}
		e, err := decodeEntry(dec, name)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, e)
	}
	if _, err := dec.Token(); err != nil {
		return nil, nil, fmt.Errorf("header: JSON object is not closed")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, nil, fmt.Errorf("header: text after the JSON object")
	}
	// The order in the JSON is anyone's; that in the file is what can be checked.
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if a.start != b.start {
			return a.start < b.start
		}
		if a.end != b.end { // empty tensors share their offset with the next
			return a.end < b.end
		}
		return a.name < b.name
	})
	return list, meta, checkLayout(list, data)
}

// decodeEntry reads one tensor's description and checks it on its own.
// Pointers and a length tell a field that is missing from one that is empty.
func decodeEntry(dec *json.Decoder, name string) (entry, error) {
	var raw struct {
		DType   *string  `json:"dtype"`
		Shape   []uint64 `json:"shape"`
		Offsets []uint64 `json:"data_offsets"`
	}
	if err := dec.Decode(&raw); err != nil {
		return entry{}, fmt.Errorf("tensor %q: %w", name, err)
	}
	if raw.DType == nil || raw.Shape == nil || len(raw.Offsets) != 2 {
		return entry{}, fmt.Errorf("tensor %q: needs dtype, shape and two data_offsets", name)
	}
	bits, ok := dtypeBits[*raw.DType]
	if !ok {
		return entry{}, fmt.Errorf("tensor %q: unknown dtype %q", name, *raw.DType)
	}
	e := entry{name: name, TensorInfo: TensorInfo{DType: *raw.DType, Shape: make([]int, len(raw.Shape))}}
	// Zero dimensions first: they make the product 0 whatever the others are.
	size, empty := uint64(bits), slices.Contains(raw.Shape, 0)
	for i, d := range raw.Shape {
		// d is not 0 where it divides: then empty is true.
		if d > math.MaxInt || !empty && size > math.MaxInt64/d {
			return entry{}, fmt.Errorf("tensor %q: shape %v is too large", name, raw.Shape)
		}
		e.Shape[i] = int(d)
		size *= d
	}
	if size%8 != 0 && !empty {
		return entry{}, fmt.Errorf("tensor %q: %s %v takes %d bits, which leaves a part of a byte", name, e.DType, e.Shape, size)
	}
	bytes := size / 8
	if empty {
		bytes = 0
	}
	a, b := raw.Offsets[0], raw.Offsets[1]
	if a > b || b > math.MaxInt64 {
		return entry{}, fmt.Errorf("tensor %q: data_offsets [%d, %d] are out of order", name, a, b)
	}
	if b-a != bytes {
		return entry{}, fmt.Errorf("tensor %q: %s %v needs %d bytes, data_offsets give %d", name, e.DType, e.Shape, bytes, b-a)
	}
	e.start, e.end = int64(a), int64(b)
	return e, nil
}

// checkLayout checks that the sorted entries tile the data exactly.
func checkLayout(list []entry, data int64) error {
	var at int64
	for _, e := range list {
		if e.start != at {
			return fmt.Errorf("tensor %q: starts at data byte %d, expected %d: tensors must follow each other without holes", e.name, e.start, at)
		}
		if e.end > data {
			return fmt.Errorf("truncated: tensor %q needs data bytes %d to %d, the file has %d", e.name, e.start, e.end, data)
		}
		at = e.end
	}
	if at != data {
		return fmt.Errorf("the tensors take %d data bytes, the file has %d", at, data)
	}
	return nil
}
