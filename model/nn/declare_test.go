package nn

import (
	"slices"
	"strings"
	"testing"

	"vgid/model/tape"
)

type block struct {
	Norm Norm        `hf:"norm" dims:"d" bias:"1"`
	QKV  tape.Linear `hf:"attn.{q,k}" dims:"d+e,d" bias:"qkv"`
	Out  tape.Linear `hf:"out" dims:"d,e" init:"half"`
}

type whole struct {
	Patch  tape.Linear `hf:"patch" dims:"d,e" shape:"d,1,e"`
	Blocks []block     `hf:"blocks"`
	Embed  *tape.Param `hf:"embed.weight" dims:"e,d" std:"0.05"`
	Head   *tape.Param `hf:"head.weight" dims:"e,d" unless:"tied"`
	Cache  []int       // without a tag: no layer
}

// Weights are listed in the order of the fields, with the names, shapes and
// beginnings that the tags give, and what is fused lies in one group.
func TestDeclare(t *testing.T) {
	net := &whole{Blocks: make([]block, 2)}
	d, err := Declare(net, map[string]int{"d": 4, "e": 9, "qkv": 1, "tied": 1})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"patch.weight", "blocks.0.norm.weight", "blocks.0.norm.bias", "blocks.0.attn.q.weight", "blocks.0.attn.k.weight",
		"blocks.0.attn.q.bias", "blocks.0.attn.k.bias", "blocks.0.out.weight",
	}
	byName := map[string]*Weight{}
	for i, w := range d.Weights {
		byName[w.Name] = w
		if i < len(want) && w.Name != want[i] {
			t.Errorf("weight %d is %s, want %s", i, w.Name, want[i])
		}
	}
	if len(d.Weights) != 16 || net.Head != nil || net.Embed != byName["embed.weight"].Param {
		t.Errorf("%d weights, head %v", len(d.Weights), net.Head)
	}
	q, k, out, norm := byName["blocks.1.attn.q.weight"], byName["blocks.1.attn.k.weight"], byName["blocks.1.out.weight"], byName["blocks.1.norm.weight"]
	switch {
	case q.Group != k.Group || q.Group != byName["blocks.1.attn.k.bias"].Group || q.Group == out.Group || q.Group == byName["blocks.0.attn.q.weight"].Group:
		t.Errorf("groups %d, %d, %d", q.Group, k.Group, out.Group)
	case !slices.Equal(k.Shape, []int{9, 4}) || k.Value.Rows != 9 || k.Value.Cols != 4:
		t.Errorf("k is %v, %d×%d", k.Shape, k.Value.Rows, k.Value.Cols)
	case k.Std != 0.5 || out.Std != 1./6 || byName["embed.weight"].Std != 0.05 || norm.Std != 0 || norm.Fill != 1 || byName["blocks.1.norm.bias"].Fill != 0:
		t.Errorf("deviations %g, %g; norm starts at %g", k.Std, out.Std, norm.Fill)
	case !k.Decay || norm.Decay || byName["blocks.1.attn.k.bias"].Decay:
		t.Error("weight decay is not of matrices alone")
	case !slices.Equal(byName["patch.weight"].Shape, []int{4, 1, 9}):
		t.Errorf("the convolution is %v", byName["patch.weight"].Shape)
	}
	var modules []string
	for _, m := range d.Modules {
		modules = append(modules, m.Name)
		if w := m.Projection().W; w != byName[m.Name+".weight"].Param {
			t.Errorf("%s projects by %s", m.Name, w.Name)
		}
	}
	if !slices.Equal(modules, []string{"blocks.0.attn.q", "blocks.0.attn.k", "blocks.0.out", "blocks.1.attn.q", "blocks.1.attn.k", "blocks.1.out"}) {
		t.Errorf("modules %v", modules) // a convolution takes no branch
	}
}

func TestDeclarationsThatAreWrong(t *testing.T) {
	for want, net := range map[string]any{
		`x: no dimension is called "z"`: &struct {
			X tape.Linear `hf:"x" dims:"z,d"`
		}{},
		`{a,b}: 2 projections but 1 height`: &struct {
			X tape.Linear `hf:"{a,b}" dims:"d,d"`
		}{},
		`x: dims "d" are not rows,cols`: &struct {
			X tape.Linear `hf:"x" dims:"d"`
		}{},
		`x: a int cannot be declared`: &struct {
			X int `hf:"x"`
		}{},
	} {
		if _, err := Declare(net, map[string]int{"d": 4}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
