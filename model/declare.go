package model

import (
	"fmt"
	"reflect"
	"strings"

	"vgid/model/backend"
	"vgid/model/tape"
)

// A family is declared as structs whose fields are layers and whose tags name
// the tensors of the checkpoint:
//
//	hf    path below the enclosing struct; {a,b} lists projections fused into
//	      one product; a slice adds the index
//	dims  rows,cols of the matrix in the symbols of the family; fused
//	      projections list their rows as a+b
//	bias  symbol that is 1 when there are biases; "1" for always
//	shape the tensor's shape in files, where it is not [rows, cols]
//	std   standard deviation of the initial values; without it 1/√cols
//	init  half: half of that deviation, for the projections that write to the
//	      residual stream
//	unless symbol that is 1 when the tensor does not exist
//
// walk turns the declaration into weights, in the order of the fields, which
// is the order of the forward pass.

// norm is a normalisation layer; B is nil for RMSNorm.
type norm struct{ W, B *tape.Param }

// weight is a parameter and what files and initialisation need to know of it.
type weight struct {
	*tape.Param
	shape []int   // in files
	std   float64 // of the initial normal values; 0 for a constant
	fill  float32 // that constant
	decay bool    // weight decay applies: matrices, not norms and biases
	group int     // weights of one group lie behind each other in memory
	lora  int     // 1 for A, 2 for B of an adapter, 0 for the checkpoint's own

	stored   backend.DType // while not trained
	file     string        // the tensor it came from, "" without files
	mapped   bool          // Value is the file itself, mapped
	pristine bool          // the value is still the file's

	// Of a weight that an adapter replaces as a whole: the value without the
	// adapter and the trained one. Value is one of the two.
	whole     bool
	base, own backend.Tensor
}

// untrained is the value without the adapter.
func (w *weight) untrained() backend.Tensor {
	if w.whole {
		return w.base
	}
	return w.Value
}

// module is a linear layer that an adapter can be attached to.
type module struct {
	name  string // path in the checkpoint, without ".weight"
	lin   *tape.Linear
	part  int
	group int
}

type walker struct {
	dims    map[string]int
	weights []*weight
	modules []module
	group   int
}

var (
	linearType = reflect.TypeFor[tape.Linear]()
	normType   = reflect.TypeFor[norm]()
	paramType  = reflect.TypeFor[*tape.Param]()
)

// walk fills the struct that v points to.
func (w *walker) walk(v reflect.Value, prefix string) error {
	for i := range v.NumField() {
		f, tag := v.Field(i), v.Type().Field(i).Tag
		name, tagged := tag.Lookup("hf")
		if !tagged {
			continue
		}
		if u := tag.Get("unless"); u != "" && w.dims[u] == 1 {
			continue
		}
		if prefix != "" {
			name = prefix + "." + name
		}
		if err := w.field(f, tag, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (w *walker) field(f reflect.Value, tag reflect.StructTag, name string) error {
	switch {
	case f.Type() == linearType:
		return w.linear(f.Addr().Interface().(*tape.Linear), tag, name)
	case f.Type() == normType:
		return w.norm(f.Addr().Interface().(*norm), tag, name)
	case f.Type() == paramType:
		rows, cols, err := w.matrix(tag.Get("dims"))
		if err != nil {
			return err
		}
		p, err := w.add(name, rows[0], cols, tag)
		f.Set(reflect.ValueOf(p))
		w.group++
		return err
	case f.Kind() == reflect.Slice:
		for i := range f.Len() {
			if err := w.walk(f.Index(i), fmt.Sprintf("%s.%d", name, i)); err != nil {
				return err
			}
		}
		return nil
	case f.Kind() == reflect.Struct:
		return w.walk(f, name)
	}
	return fmt.Errorf("a %v cannot be declared", f.Type())
}

func (w *walker) norm(n *norm, tag reflect.StructTag, name string) error {
	rows, cols, err := w.matrix("1," + tag.Get("dims"))
	if err != nil {
		return err
	}
	n.W = w.vector(name+".weight", rows[0]*cols, 1)
	if tag.Get("bias") == "1" {
		n.B = w.vector(name+".bias", cols, 0)
	}
	w.group++
	return nil
}

func (w *walker) linear(l *tape.Linear, tag reflect.StructTag, name string) error {
	rows, cols, err := w.matrix(tag.Get("dims"))
	if err != nil {
		return err
	}
	names := []string{name}
	if at := strings.IndexByte(name, '{'); at >= 0 {
		names = strings.Split(strings.TrimSuffix(name[at+1:], "}"), ",")
		for i := range names {
			names[i] = name[:at] + names[i]
		}
	}
	if len(names) != len(rows) {
		return fmt.Errorf("%d projections but %d heights", len(names), len(rows))
	}
	l.Parts = make([]tape.Part, len(names))
	for i, n := range names {
		if l.Parts[i].W, err = w.add(n+".weight", rows[i], cols, tag); err != nil {
			return err
		}
		if tag.Get("shape") == "" { // an adapter of a convolution has another form
			w.modules = append(w.modules, module{n, l, i, w.group})
		}
	}
	bias := tag.Get("bias")
	if bias == "1" || w.dims[bias] == 1 {
		for i, n := range names {
			l.Parts[i].B = w.vector(n+".bias", rows[i], 0)
		}
	}
	w.group++
	return nil
}

// add declares a matrix of the current group.
func (w *walker) add(name string, rows, cols int, tag reflect.StructTag) (*tape.Param, error) {
	x := &weight{Param: &tape.Param{Name: name}, shape: []int{rows, cols}, decay: true, group: w.group}
	x.Value.Rows, x.Value.Cols, x.Value.Stride = rows, cols, cols
	x.std = invSqrt(cols)
	if tag.Get("init") == "half" {
		x.std /= 2
	}
	if s := tag.Get("std"); s != "" {
		if _, err := fmt.Sscan(s, &x.std); err != nil {
			return nil, err
		}
	}
	if s := tag.Get("shape"); s != "" {
		x.shape = nil
		for _, sym := range strings.Split(s, ",") {
			n, err := w.symbol(sym)
			if err != nil {
				return nil, err
			}
			x.shape = append(x.shape, n)
		}
	}
	w.weights = append(w.weights, x)
	return x.Param, nil
}

// vector declares a row of the current group that starts constant.
func (w *walker) vector(name string, n int, fill float32) *tape.Param {
	x := &weight{Param: &tape.Param{Name: name}, shape: []int{n}, fill: fill, group: w.group}
	x.Value.Rows, x.Value.Cols, x.Value.Stride = 1, n, n
	w.weights = append(w.weights, x)
	return x.Param
}

// matrix reads "rows,cols" and "rows+rows,cols".
func (w *walker) matrix(dims string) (rows []int, cols int, err error) {
	r, c, ok := strings.Cut(dims, ",")
	if !ok {
		return nil, 0, fmt.Errorf("dims %q are not rows,cols", dims)
	}
	for _, s := range strings.Split(r, "+") {
		n, err := w.symbol(s)
		if err != nil {
			return nil, 0, err
		}
		rows = append(rows, n)
	}
	cols, err = w.symbol(c)
	return rows, cols, err
}

func (w *walker) symbol(s string) (int, error) {
	if s == "1" {
		return 1, nil
	}
	if n, ok := w.dims[s]; ok {
		return n, nil
	}
	return 0, fmt.Errorf("no dimension is called %q", s)
}
