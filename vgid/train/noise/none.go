package noise

import "vgid/model/hf/imaging"

// None is the kind that leaves pictures as they are. Who asks for it need not decode
// them.
const None = "none"

func init() {
	Register(Kind{Name: None, Order: 5, Doc: "the picture as it is", New: func(Setup) (Disturb, error) {
		return func(dst, src imaging.Image, _ *Source) { copy(dst.Pixels, src.Pixels) }, nil
	}})
}
