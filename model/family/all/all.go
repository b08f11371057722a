// Package all makes every family of models known by importing it: a new family
// is its own folder and its line here.
package all

import (
	_ "vgid/model/family/llava"  // llava
	_ "vgid/model/family/qwenvl" // qwen2_vl, qwen2_5_vl
)
