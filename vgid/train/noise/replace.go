package noise

import (
	"vgid/model/backend"
	"vgid/model/hf/imaging"
)

// The whole picture gives way to noise: uniform is what the authors' released script
// does, U[0, 1) in place of the normalised values.
func init() {
	replace := func(dist backend.Distribution) func(Setup) (Disturb, error) {
		return func(Setup) (Disturb, error) {
			return func(dst, _ imaging.Image, s *Source) { s.Pixels(dst, dist) }, nil
		}
	}
	Register(Kind{
		Name: "uniform-replace", Order: 0, New: replace(backend.Uniform),
		Doc: "uniform noise in [0, 1) in place of the picture, as the authors' script has it",
	})
	Register(Kind{
		Name: "gaussian-replace", Order: 1, New: replace(backend.Normal),
		Doc: "normal noise of deviation 1 in place of the picture",
	})
}
