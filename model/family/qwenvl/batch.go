package qwenvl

import (
	"slices"

	"vgid/model/backend"
	"vgid/model/family"
	"vgid/model/nn"
	"vgid/model/tape"
)

// images is what the tower reads of a batch: the patches of all images,
// packed. A merge unit, the square of patches that becomes one token, is m·m
// rows behind each other. With windowed attention the units are ordered window
// by window, so that a window is a sequence of rows as a whole image is.
// Its slices are used again for each batch, which is why Stage begins by emptying them (layOut).
type images struct {
	net    *network
	blocks []nn.QwenBlock
	rope   nn.RoPETable

	order, back              backend.Tensor // I32: rows in window order; units in the images' order
	towerRows, projectorRows backend.Tensor
	cos, sin                 backend.Tensor // F32 [patches, headDim/2]
	whole, windows           attention
	segments                 []nn.QwenSegment
	units                    []unit
}

// unit is a merge unit.
// sample and place are what keys the noise of dropout, so that it does not depend on the batch.
type unit struct {
	own    int32  // place among the units of the batch, in the images' order
	sample uint32 // of the sequence
	place  int32  // among the units of the sequence
	y, x   int32  // in merged patches
}

// attention are the sequences of rows that see each other.
// start and len are in rows of patches, a sequence an image or a window.
type attention struct {
	backend.Attention
	start, len []int32
}

// Images implements family.Network.
func (n *network) Images() family.Images {
	c := &n.c.Vision
	head := c.HiddenSize / c.Heads
	v := &images{net: n, blocks: n.tower.Layers()}
	v.segments = make([]nn.QwenSegment, len(v.blocks))
	// Half of the rotated pairs follow the row of the patch, half its column.
	v.rope = nn.NewRoPETable(nn.RoPE{Theta: towerTheta}, head/2)
	attn := backend.Attention{Heads: c.Heads, KVHeads: c.Heads, HeadDim: head, Scale: float32(nn.InvSqrt(head))}
	v.whole.Attention, v.windows.Attention = attn, attn
	return v
}

// towerTheta is the base of the tower's rotary positions.
const towerTheta = 1e4

// Stage implements family.Images.
func (v *images) Stage(b *family.Staging, seqs []family.Sequence) {
	cfg := &v.net.c.Vision
	m := int32(cfg.MergeSize)
	v.layOut(seqs)
	// Attention knows only rows behind each other, so windows are made contiguous by
	// a reordering before the first layer, which is undone after merging, where there
	// are fewer rows to move.
	if v.net.windows != nil {
		b.Begin(&v.order, 1)
		for _, u := range v.units {
			for p := range m * m {
				b.Put(u.own*m*m + p)
			}
		}
		b.Begin(&v.back, 1)
		from := len(b.Ints)
		for range v.units {
			b.Put(0)
		}
		for i, u := range v.units {
			b.Ints[from+int(u.own)] = int32(i)
		}
		v.windows.Q = b.Sequences(v.windows.start, v.windows.len, &v.windows.Q.Dev)
	}
	v.whole.Q = b.Sequences(v.whole.start, v.whole.len, &v.whole.Q.Dev)
	b.Begin(&v.towerRows, 2)
	for _, u := range v.units {
		for p := range m * m {
			b.Put(int32(u.sample), u.place*m*m+p)
		}
	}
	b.Begin(&v.projectorRows, 2)
	for _, u := range v.units {
		b.Put(int32(u.sample), u.place)
	}
	v.angles(b)
}

// layOut lists the merge units in the order of the rows, and the sequences of
// rows that are an image or a window.
// Windows at the right and lower edge are smaller, as the reference's are after its padding is
// taken away.
// side counts merge units: windows are of whole ones (get_window_index of transformers).
func (v *images) layOut(seqs []family.Sequence) {
	c := &v.net.c.Vision
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
			if w := v.net.windows; w != nil {
				side = w.WindowSize / (m * c.PatchSize)
			}
			for wy := 0; wy < h; wy += side {
				for wx := 0; wx < w; wx += side {
					from := len(v.units)
					for y := wy; y < min(wy+side, h); y++ {
						for x := wx; x < min(wx+side, w); x++ {
							v.units = append(v.units, unit{
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

func (a *attention) add(start, length int) {
	a.start, a.len = append(a.start, int32(start)), append(a.len, int32(length))
}

// angles stages the rotary tables of the patches.
// The row of a patch turns the first half of the pairs, its column the second
// (apply_rotary_pos_emb_vision).
func (v *images) angles(b *family.Staging) {
	m := int32(v.net.c.Vision.MergeSize)
	most := int32(0)
	for _, u := range v.units {
		most = max(most, u.y, u.x)
	}
	v.rope.Grow(int((most + 1) * m))
	quarter := v.rope.Pairs()
	for _, t := range [...]struct {
		dst   *backend.Tensor
		table []float32
	}{{&v.cos, v.rope.Cos}, {&v.sin, v.rope.Sin}} {
		b.BeginFloats(t.dst, 2*quarter)
		for _, u := range v.units {
			for p := range m * m {
				y, x := int(u.y*m+p/m), int(u.x*m+p%m)
				b.Floats = append(b.Floats, t.table[y*quarter:(y+1)*quarter]...)
				b.Floats = append(b.Floats, t.table[x*quarter:(x+1)*quarter]...)
			}
		}
	}
}

// Tower implements family.Images.
// pixels are [patches, PatchValues], flat; the result is [patches, width], in window order where
// there are windows.
func (v *images) Tower(t nn.Pass, pixels backend.Tensor) tape.Var {
	cfg := &v.net.c.Vision
	t.SetRows(v.towerRows)
	v.whole.KV, v.windows.KV = v.whole.Q, v.windows.Q
	n := cfg.PatchValues()
	x := t.Linear(t.Input(pixels.Reshape(pixels.Len()/n, n), false), v.net.tower.PatchEmbed())
	if v.net.windows != nil {
		x = t.Gather(x, v.order)
	}
	for i := range v.segments {
		attn := v.windows.Attention
		if v.net.seesAll(i) {
			attn = v.whole.Attention
		}
		s := &v.segments[i]
		*s = nn.QwenSegment{Block: v.blocks[i], Act: nn.Activations[cfg.Act], Cos: v.cos, Sin: v.sin, Attn: attn}
		x = t.Layer(x, s)
	}
	return x
}

// seesAll reports whether the layer sees whole images.
func (n *network) seesAll(layer int) bool {
	return n.windows == nil || slices.Contains(n.windows.FullLayers, layer)
}

// Project implements family.Images.
// The merge is a mere reshape: the m·m rows of a unit lie behind each other, which Layout and
// layOut see to.
// It gives [tokens, the decoder's width], in the images' order again.
func (v *images) Project(t *tape.Tape, x tape.Var) tape.Var {
	c := &v.net.c.Vision
	t.SetRows(v.projectorRows)
	net := v.net.tower.Mergers()
	x = t.Reshape(v.net.tower.MergeNorm(t, x), c.HiddenSize*c.MergeSize*c.MergeSize)
	x = t.Linear(t.Activate(t.Linear(x, &net.FC1), backend.GELU), &net.FC2)
	if v.net.windows != nil {
		x = t.Gather(x, v.back)
	}
	return x
}
