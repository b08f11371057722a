package model

import (
	"vgid/model/backend"
	"vgid/model/tape"
)

// qwenBlock is a layer of a tower of the Qwen2-VL families.
type qwenBlock interface {
	forward(t *tape.Tape, x tape.Var, s *qwenSegment) tape.Var
}

// qwenNet is what a network of these families has behind the tower's layers.
type qwenNet interface {
	norm(t *tape.Tape, x tape.Var) tape.Var
	merger() *qwenMerger
}

// qwenBatch is what the tower reads of a batch: the patches of all images,
// packed. A merge unit, the square of patches that becomes one token, is m·m
// rows behind each other. With windowed attention the units are ordered window
// by window, so that a window is a sequence of rows as a whole image is.
type qwenBatch struct {
	m      *Model
	patch  *tape.Linear
	net    qwenNet
	blocks []qwenBlock
	rope   ropeTable

	order, back              backend.Tensor // I32: rows in window order; units in the images' order
	towerRows, projectorRows backend.Tensor
	cos, sin                 backend.Tensor // F32 [patches, headDim/2]
	whole, windows           qwenAttention
	segments                 []qwenSegment
	units                    []qwenUnit
}

// qwenUnit is a merge unit.
type qwenUnit struct {
	own    int32  // place among the units of the batch, in the images' order
	sample uint32 // of the sequence
	place  int32  // among the units of the sequence
	y, x   int32  // in merged patches
}

// qwenAttention are the sequences of rows that see each other.
type qwenAttention struct {
	backend.Attention
	start, len []int32
}

// qwenSegment is a layer with what the layers of a pass share.
type qwenSegment struct {
	block    qwenBlock
	cfg      *VisionConfig
	cos, sin backend.Tensor
	attn     backend.Attention
}

// Forward runs the layer on the residual stream x [patches, vd].
func (s *qwenSegment) Forward(t *tape.Tape, x tape.Var) tape.Var { return s.block.forward(t, x, s) }

// attend is attention over normalised rows h.
func (s *qwenSegment) attend(t *tape.Tape, h tape.Var, qkv, o *tape.Linear) tape.Var {
	a := &s.attn
	x := t.Linear(h, qkv)
	t.RoPE(x, 0, 2*a.Heads*a.HeadDim, 2*a.Heads, s.cos, s.sin)
	return t.Linear(t.Attention(x, *a), o)
}

func newQwenBatch(m *Model, patch *tape.Linear, blocks []qwenBlock, net qwenNet) *qwenBatch {
	c := &m.Config.Vision
	head := c.HiddenSize / c.Heads
	v := &qwenBatch{m: m, patch: patch, net: net, blocks: blocks, segments: make([]qwenSegment, len(blocks))}
	// Half of the rotated pairs follow the row of the patch, half its column.
	v.rope.inv = RoPE{Theta: qwenTowerTheta}.inverseFrequencies(head / 2)
	attn := backend.Attention{Heads: c.Heads, KVHeads: c.Heads, HeadDim: head, Scale: float32(invSqrt(head))}
	v.whole.Attention, v.windows.Attention = attn, attn
	return v
}

// qwenTowerTheta is the base of the tower's rotary positions.
const qwenTowerTheta = 1e4

func (v *qwenBatch) stage(b *Batch, seqs []Sequence) {
	cfg := &v.m.Config.Vision
	m := int32(cfg.MergeSize)
	v.layOut(seqs)
	if cfg.WindowSize > 0 {
		b.begin(&v.order, 1)
		for _, u := range v.units {
			for p := range m * m {
				b.put(u.own*m*m + p)
			}
		}
		b.begin(&v.back, 1)
		from := len(b.ints)
		for range v.units {
			b.put(0)
		}
		for i, u := range v.units {
			b.ints[from+int(u.own)] = int32(i)
		}
		v.windows.Q = b.sequences(v.windows.start, v.windows.len, &v.windows.Q.Dev)
	}
	v.whole.Q = b.sequences(v.whole.start, v.whole.len, &v.whole.Q.Dev)
	b.begin(&v.towerRows, 2)
	for _, u := range v.units {
		for p := range m * m {
			b.put(int32(u.sample), u.place*m*m+p)
		}
	}
	b.begin(&v.projectorRows, 2)
	for _, u := range v.units {
		b.put(int32(u.sample), u.place)
	}
	v.angles(b)
}

// layOut lists the merge units in the order of the rows, and the sequences of
// rows that are an image or a window.
func (v *qwenBatch) layOut(seqs []Sequence) {
	c := &v.m.Config.Vision
	m := c.MergeSize
	v.units = v.units[:0]
	v.whole.start, v.whole.len = v.whole.start[:0], v.whole.len[:0]
	v.windows.start, v.windows.len = v.windows.start[:0], v.windows.len[:0]
	own := 0
	for i := range seqs {
		place := 0
		for _, img := range seqs[i].Images {
			h, w := img.Grid.H/m, img.Grid.W/m
			v.whole.add(len(v.units)*m*m, h*w*m*m)
			side := max(h, w) // without windows, one that holds the image
			if c.WindowSize > 0 {
				side = c.WindowSize / (m * c.PatchSize)
			}
			for wy := 0; wy < h; wy += side {
				for wx := 0; wx < w; wx += side {
					from := len(v.units)
					for y := wy; y < min(wy+side, h); y++ {
						for x := wx; x < min(wx+side, w); x++ {
							v.units = append(v.units, qwenUnit{
								own: int32(own + y*w + x), sample: seqs[i].Sample, place: int32(place + y*w + x),
								y: int32(y), x: int32(x),
							})
						}
					}
					v.windows.add(from*m*m, (len(v.units)-from)*m*m)
				}
			}
			own, place = own+h*w, place+h*w
		}
	}
}

func (a *qwenAttention) add(start, length int) {
	a.start, a.len = append(a.start, int32(start)), append(a.len, int32(length))
}

// angles stages the rotary tables of the patches.
func (v *qwenBatch) angles(b *Batch) {
	m := int32(v.m.Config.Vision.MergeSize)
	most := int32(0)
	for _, u := range v.units {
		most = max(most, u.y, u.x)
	}
	v.rope.grow(int((most + 1) * m))
	quarter := len(v.rope.inv)
	for _, t := range [...]struct {
		dst   *backend.Tensor
		table []float32
	}{{&v.cos, v.rope.cos}, {&v.sin, v.rope.sin}} {
		b.beginFloats(t.dst, 2*quarter)
		for _, u := range v.units {
			for p := range m * m {
				y, x := int(u.y*m+p/m), int(u.x*m+p%m)
				b.floats = append(b.floats, t.table[y*quarter:(y+1)*quarter]...)
				b.floats = append(b.floats, t.table[x*quarter:(x+1)*quarter]...)
			}
		}
	}
}

func (v *qwenBatch) tower(t *tape.Tape, b *Batch) tape.Var {
	cfg := &v.m.Config.Vision
	t.SetRows(v.towerRows)
	v.whole.KV, v.windows.KV = v.whole.Q, v.windows.Q
	n := cfg.patchValues()
	x := t.Linear(t.Input(b.pixels.Reshape(b.pixels.Len()/n, n), false), v.patch)
	if cfg.WindowSize > 0 {
		x = t.Gather(x, v.order)
	}
	for i := range v.segments {
		attn := v.windows.Attention
		if cfg.fullAttention(i) {
			attn = v.whole.Attention
		}
		s := &v.segments[i]
		*s = qwenSegment{v.blocks[i], cfg, v.cos, v.sin, attn}
		x = v.m.segment(t, x, s)
	}
	return x
}

func (v *qwenBatch) project(t *tape.Tape, _ *Batch, x tape.Var) tape.Var {
	c := &v.m.Config.Vision
	t.SetRows(v.projectorRows)
	net := v.net.merger()
	x = t.Reshape(v.net.norm(t, x), c.HiddenSize*c.MergeSize*c.MergeSize)
	x = t.Linear(t.Activate(t.Linear(x, &net.FC1), backend.GELU), &net.FC2)
	if c.WindowSize > 0 {
		x = t.Gather(x, v.back)
	}
	return x
}
