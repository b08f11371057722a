// Package nn holds the layers that vision-language models are built of: the
// LLaMA decoder, CLIP's vision transformer and the towers of the Qwen2-VL
// families, as structs that name the tensors of a checkpoint beside the fields
// they fill, and how each runs on a tape.
//
// Layers know neither files nor memory: Declare lists the weights of a struct with
// their shapes, and whoever owns the model gives them memory before a pass. A
// layer that runs twice, as recomputation does, queues the same operations:
// everything a pass decides stands in its segment before the first run.
//
// Begin with llama.go, which is the shortest whole network.
package nn

import (
	"fmt"
	"reflect"
	"strings"

	"vgid/model/tape"
)

// A network is declared as a struct whose fields are layers and whose tags name
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
// Declare turns the struct into weights, in the order of the fields, which is
// the order of the forward pass.

// Norm is a normalisation layer; B is nil for RMSNorm.
type Norm struct{ W, B *tape.Param }

// Weight is a declared parameter and what files and initialisation need to
// know of it. Its Value has a shape and no memory yet.
type Weight struct {
	*tape.Param
	Shape []int   // in files
	Std   float64 // of the initial normal values; 0 for a constant
	Fill  float32 // that constant
	Decay bool    // weight decay applies: matrices, not norms and biases
	// Group numbers the layers in the order of the forward pass. Weights of one
	// group should lie behind each other in memory: projections of one input then
	// run as one product.
	Group int
}

// Module is a linear projection that an adapter can be attached to.
type Module struct {
	Name  string // path in the checkpoint, without ".weight"
	Lin   *tape.Linear
	Part  int // of Lin
	Group int // as its weights'
}

// Projection is the module's own part of the product that it runs in.
func (m *Module) Projection() *tape.Part { return &m.Lin.Parts[m.Part] }

// Declaration lists what a network is made of, in the order of the forward
// pass.
type Declaration struct {
	Weights []*Weight
	Modules []Module
}

// Declare fills the layers of net, a pointer to a struct with tags, and lists
// its weights. dims gives the symbols of the tags their values.
func Declare(net any, dims map[string]int) (Declaration, error) {
	w := walker{dims: dims}
	err := w.walk(reflect.ValueOf(net).Elem(), "")
	return Declaration{w.weights, w.modules}, err
}

// walker collects the weights of a declaration.
type walker struct {
	dims    map[string]int
	weights []*Weight
	modules []Module
	group   int
}

var (
	linearType = reflect.TypeFor[tape.Linear]()
	normType   = reflect.TypeFor[Norm]()
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
		return w.norm(f.Addr().Interface().(*Norm), tag, name)
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

func (w *walker) norm(n *Norm, tag reflect.StructTag, name string) error {
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
			w.modules = append(w.modules, Module{n, l, i, w.group})
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
	x := &Weight{Param: &tape.Param{Name: name}, Shape: []int{rows, cols}, Decay: true, Group: w.group}
	x.Value.Rows, x.Value.Cols, x.Value.Stride = rows, cols, cols
	x.Std = InvSqrt(cols)
	if tag.Get("init") == "half" {
		x.Std /= 2
	}
	if s := tag.Get("std"); s != "" {
		if _, err := fmt.Sscan(s, &x.Std); err != nil {
			return nil, err
		}
	}
	if s := tag.Get("shape"); s != "" {
		x.Shape = nil
		for _, sym := range strings.Split(s, ",") {
			n, err := w.symbol(sym)
			if err != nil {
				return nil, err
			}
			x.Shape = append(x.Shape, n)
		}
	}
	w.weights = append(w.weights, x)
	return x.Param, nil
}

// vector declares a row of the current group that starts constant.
func (w *walker) vector(name string, n int, fill float32) *tape.Param {
	x := &Weight{Param: &tape.Param{Name: name}, Shape: []int{n}, Fill: fill, Group: w.group}
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
