package portrait

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strings"
)

// Attribute is one visible trait of a drawn face.
// Their order is that of Face, of Describe and of the shipped model's training: it is not to be
// changed.
type Attribute int

// The attributes of a face.
const (
	Shape Attribute = iota
	Skin
	HairStyle
	HairColour
	Eyes
	Glasses
	Beard
	Hat
	Shirt
	Pattern
	NumAttributes // how many there are
)

// Values are the words for each attribute; Face holds indices.
// Each is a single word, and within an attribute they look different at 96 pixels.
var Values = [NumAttributes][]string{
	Shape:      strings.Fields("round oval long square"),
	Skin:       strings.Fields("pale rosy tan olive brown dark"),
	HairStyle:  strings.Fields("bald short long curly bob mohawk bun"),
	HairColour: strings.Fields("black brown blond red grey blue green pink"),
	Eyes:       strings.Fields("black blue green amber"),
	Glasses:    strings.Fields("no round square dark"),
	Beard:      strings.Fields("clean bearded moustached"),
	Hat:        strings.Fields("no cap band"),
	Shirt:      strings.Fields("white red green blue yellow black purple orange"),
	Pattern:    strings.Fields("plain striped dotted"),
}

// Questions ask for one attribute each.
var Questions = [NumAttributes]string{
	Shape:      "What is the shape of the face?",
	Skin:       "What colour is the skin?",
	HairStyle:  "What is the style of the hair?",
	HairColour: "What colour is the hair?",
	Eyes:       "What colour are the eyes?",
	Glasses:    "What glasses?",
	Beard:      "What is on the chin?",
	Hat:        "What hat?",
	Shirt:      "What colour is the shirt?",
	Pattern:    "What is the pattern of the shirt?",
}

// DescribeQuestion asks for all attributes; Describe answers it.
const DescribeQuestion = "Describe the face."

// Face is the identity of a portrait: one value index an attribute.
type Face [NumAttributes]uint8

// Value is the word for one attribute.
// A face is valid if every index is within its attribute's values; View and Draw take
// no other.
func (f Face) Value(a Attribute) string { return Values[a][f[a]] }

// Code is a face in one word, four bits an attribute (none has more than 16
// values): comparing faces is most of the work of drawing many different ones.
type Code uint64

// Code packs a face.
func (f Face) Code() Code {
	var c Code
	for _, v := range f {
		c = c<<4 | Code(v)
	}
	return c
}

// Distance is the number of attributes in which two faces differ.
func (c Code) Distance(d Code) int {
	x := uint64(c ^ d)
	x |= x>>1 | x>>2 | x>>3 // the lowest bit of each four tells whether any is set
	return bits.OnesCount64(x & 0x1111111111111111)
}

// Distance is the number of attributes in which two faces differ.
func (f Face) Distance(g Face) int { return f.Code().Distance(g.Code()) }

// Describe names all ten attributes in one sentence.
// Every word of Values stands in it as it is, also "no": so all descriptions have the
// same length in words.
func (f Face) Describe() string {
	return fmt.Sprintf("%s face, %s skin, %s %s hair, %s eyes, %s glasses, %s chin, %s hat, %s %s shirt.",
		f.Value(Shape), f.Value(Skin), f.Value(HairStyle), f.Value(HairColour), f.Value(Eyes),
		f.Value(Glasses), f.Value(Beard), f.Value(Hat), f.Value(Shirt), f.Value(Pattern))
}

// Random draws a face, every attribute on its own.
func Random(r *rand.Rand) Face {
	var f Face
	for a := range f {
		f[a] = uint8(r.IntN(len(Values[a])))
	}
	return f
}
