package chars

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// The parts of the reference library (tokenizers 0.23) know different versions
// of Unicode: its regular expressions 16, upper and lower case 17, normal forms
// 9, BERT's classes 8. Go 1.26 knows 15. Here is where they differ from Go; a
// test holds every code point to what the reference says.
var (
	// Letters and numbers to regular expressions, word characters to added
	// tokens and Whitespace.
	laterLetters = runeSet(`1C89-1C8A A7CB-A7CD A7DA-A7DC 105C0-105F3 10D4A-10D65 10D6F-10D85 10EC2-10EC4 11380-11389 1138B 1138E
	11390-113B5 113B7 113D1 113D3 11BC0-11BE0 13460-143FA 16100-1611D 16D40-16D6C 18CFF 1E5D0-1E5ED 1E5F0
	2EBF0-2EE5D`)
	laterNumbers = runeSet(`10D40-10D49 116D0-116E3 11BF0-11BF9 16130-16139 16D70-16D79 1CCF0-1CCF9 1E5F1-1E5FA`)
	LaterWords   = runeSet(`897 1C89-1C8A A7CB-A7CD A7DA-A7DC 105C0-105F3 10D40-10D65 10D69-10D6D 10D6F-10D85 10EC2-10EC4 10EFC
	11380-11389 1138B 1138E 11390-113B5 113B7-113C0 113C2 113C5 113C7-113CA 113CC-113D3 113E1-113E2 116D0-116E3
	11BC0-11BE0 11BF0-11BF9 11F5A 13460-143FA 16100-16139 16D40-16D6C 16D70-16D79 18CFF 1CCF0-1CCF9 1E5D0-1E5FA
	2EBF0-2EE5D`)

	// Alphabetic to regular expressions, without being letters.
	LaterAlphabetic = runeSet(`363-36F 897 1DD3-1DE6 10D69 10EFC 113B8-113C0 113C2 113C5 113C7-113CA 113CC-113CD 1611E-1612E`)

	// Numbers to Digits.
	laterDigits = runeSet(`10D40-10D49 116D0-116E3 11BF0-11BF9 11DE0-11DE9 16130-16139 16D70-16D79 16FF4-16FF6 1CCF0-1CCF9 1E5F1-1E5FA`)

	// Too new for the normal forms, which leave them where they are; the second
	// set is too new for the compatibility forms only.
	Inert = runeSet(`7FD 898-89F 8CA-8D3 9FE C3C D3B-D3C EBA 1715 1ABF-1ACE 1DF6-1DFA A82C 10D24-10D27 10EAB-10EAC 10EFD-10EFF
	10F46-10F50 10F82-10F85 11070 1133B 1145E 11839-1183A 11938 1193D-1193E 11943 119E0 11A34 11A47 11A99 11D42
	11D44-11D45 11D97 11F41-11F42 16FF0-16FF1 1E08F 1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF`)
	InertCompat = runeSet(`32FF A7F2-A7F4 AB69 10781-10785 10787-107B0 107B2-107BA 11938 1E030-1E06D 1F16C 1FBF0-1FBF9`)

	// Marks that StripAccents and BertNormalizer keep, and signs that are no
	// punctuation, format characters that are no control characters to them.
	KeptMarks = runeSet(`7FD 898-89F 8CA-8D3 9FE AFA-AFF B55 C04 C3C CF3 D00 D3B-D3C D81 EBA ECE 1715 180F 1ABF-1ACE 1CF7 1DF6-1DFA
	A82C A8FF 10D24-10D27 10EAB-10EAC 10EFD-10EFF 10F46-10F50 10F82-10F85 11070 11073-11074 110C2 11145-11146
	111C9 111CE-111CF 11241 1133B 1145E 1182C-1183A 11930-11935 11937-11938 1193B-1193E 11940 11942-11943
	119D1-119D7 119DA-119E0 119E4 11A01-11A0A 11A33-11A39 11A3B-11A3E 11A47 11A51-11A5B 11A8A-11A99 11D31-11D36
	11D3A 11D3C-11D3D 11D3F-11D45 11D47 11D8A-11D8E 11D90-11D91 11D93-11D97 11EF3-11EF6 11F00-11F01 11F03
	11F34-11F3A 11F3E-11F42 13440 13447-13455 16F4F 16F7F-16F87 16FE4 16FF0-16FF1 1CF00-1CF2D 1CF30-1CF46 1E08F
	1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF`)
	KeptByBert = runeSet(`7FD 898-89F 8CA-8E1 9FE AFA-AFF B55 C04 C3C D00 D3B-D3C D81 EBA ECE 180F 1885-1886 1ABF-1ACE 1DF6-1DFB A82C
	A8C5 A8FF A9BD 10D24-10D27 10EAB-10EAC 10EFD-10EFF 10F46-10F50 10F82-10F85 11070 11073-11074 110C2 111C9 111CF
	1123E 11241 1133B 11438-1143F 11442-11444 11446 1145E 1182F-11837 11839-1183A 1193B-1193C 1193E 11943
	119D4-119D7 119DA-119DB 119E0 11A01-11A0A 11A33-11A38 11A3B-11A3E 11A47 11A51-11A56 11A59-11A5B 11A8A-11A96
	11A98-11A99 11C30-11C36 11C38-11C3D 11C3F 11C92-11CA7 11CAA-11CB0 11CB2-11CB3 11CB5-11CB6 11D31-11D36 11D3A
	11D3C-11D3D 11D3F-11D45 11D47 11D90-11D91 11D95 11D97 11EF3-11EF4 11F00-11F01 11F36-11F3A 11F40 11F42 13440
	13447-13455 16F4F 16FE4 1CF00-1CF2D 1CF30-1CF46 1E000-1E006 1E008-1E018 1E01B-1E021 1E023-1E024 1E026-1E02A
	1E08F 1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF 1E944-1E94A`)
	NotPunctuation = runeSet(`61D 9FD A76 C77 C84 1B7D-1B7E 2E43-2E4F 2E52-2E5D 10EAD 10F55-10F59 10F86-10F89 1144B-1144F 1145A-1145B 1145D
	11660-1166C 116B9 1183B 11944-11946 119E2 11A3F-11A46 11A9A-11A9C 11A9E-11AA2 11B00-11B09 11C41-11C45
	11C70-11C71 11EF7-11EF8 11F43-11F4F 11FFF 12FF1-12FF2 16E97-16E9A 16FE2 1E95E-1E95F`)
	NotControl = runeSet(`890-891 8E2 110CD 13430-1343F`)
)

// LaterCategories are the characters of each category that regular expressions
// know and Go does not.
var LaterCategories = []struct {
	Name  string
	Table *unicode.RangeTable
}{
	{"Lu", runeSet(`1C89 A7CB-A7CC A7DA A7DC 10D50-10D65`)},
	{"Ll", runeSet(`1C8A A7CD A7DB 10D70-10D85`)},
	{"Lm", runeSet(`10D4E 10D6F 16D40-16D42 16D6B-16D6C`)},
	{"Lo", runeSet(`105C0-105F3 10D4A-10D4D 10D4F 10EC2-10EC4 11380-11389 1138B 1138E 11390-113B5 113B7 113D1 113D3 11BC0-11BE0
	13460-143FA 16100-1611D 16D43-16D6A 18CFF 1E5D0-1E5ED 1E5F0 2EBF0-2EE5D`)},
	{"Mn", runeSet(`897 10D69-10D6D 10EFC 113BB-113C0 113CE 113D0 113D2 113E1-113E2 11F5A 1611E-16129 1612D-1612F 1E5EE-1E5EF`)},
	{"Mc", runeSet(`113B8-113BA 113C2 113C5 113C7-113CA 113CC-113CD 113CF 1171E 1612A-1612C`)},
	{"Nd", runeSet(`10D40-10D49 116D0-116E3 11BF0-11BF9 16130-16139 16D70-16D79 1CCF0-1CCF9 1E5F1-1E5FA`)},
	{"Pd", runeSet(`10D6E`)},
	{"Po", runeSet(`1B4E-1B4F 1B7F 113D4-113D5 113D7-113D8 11BE1 16D6D-16D6F 1E5FF`)},
	{"Sm", runeSet(`10D8E-10D8F`)},
	{"So", runeSet(`2427-2429 2FFC-2FFF 31E4-31E5 31EF 1CC00-1CCEF 1CD00-1CEB3 1F8B2-1F8BB 1F8C0-1F8C1 1FA89 1FA8F 1FABE 1FAC6
	1FADC 1FADF 1FAE9 1FBCB-1FBEF`)},
}

// laterLower are capital letters Go does not know: from, to, distance of the
// small letter.
var laterLower = [][3]rune{
	{0x1C89, 0x1C89, 1},
	{0xA7CB, 0xA7CB, -42343},
	{0xA7CC, 0xA7CC, 1},
	{0xA7CE, 0xA7CE, 1},
	{0xA7D2, 0xA7D2, 1},
	{0xA7D4, 0xA7D4, 1},
	{0xA7DA, 0xA7DA, 1},
	{0xA7DC, 0xA7DC, -42561},
	{0x10D50, 0x10D65, 32},
	{0x16EA0, 0x16EB8, 27},
}

// runeSet reads ranges such as "41-5A 61", which ascend.
func runeSet(ranges string) *unicode.RangeTable {
	t := &unicode.RangeTable{}
	for _, s := range strings.Fields(ranges) {
		var lo, hi uint32
		if n, _ := fmt.Sscanf(s, "%X-%X", &lo, &hi); n < 2 {
			hi = lo
		}
		if hi < 1<<16 {
			t.R16 = append(t.R16, unicode.Range16{Lo: uint16(lo), Hi: uint16(hi), Stride: 1})
		} else {
			t.R32 = append(t.R32, unicode.Range32{Lo: lo, Hi: hi, Stride: 1})
		}
	}
	return t
}

// IsLetter is \p{L} of the reference's regular expressions.
func IsLetter(r rune) bool { return unicode.IsLetter(r) || unicode.Is(laterLetters, r) }

// IsNumber is \p{N} of them.
func IsNumber(r rune) bool { return unicode.IsNumber(r) || unicode.Is(laterNumbers, r) }

// IsDigit is what the pre-tokenizer Digits cuts: numbers of all kinds, also Ⅷ and ½, by
// a later Unicode than that of the expressions.
func IsDigit(r rune) bool { return unicode.IsNumber(r) || unicode.Is(laterDigits, r) }

// ToLower is the small letter of r.
func ToLower(r rune) rune {
	if l := unicode.ToLower(r); l != r || r < laterLower[0][0] {
		return l
	}
	i := slices.IndexFunc(laterLower, func(l [3]rune) bool { return r >= l[0] && r <= l[1] })
	if i < 0 {
		return r
	}
	return r + laterLower[i][2]
}

// Around applies a normal form between the characters of a set, which stay.
func Around(form func(string) string, sets ...*unicode.RangeTable) func(string) string {
	return func(s string) string {
		var b strings.Builder
		done := 0
		for i, r := range s {
			if r >= firstInert && unicode.In(r, sets...) {
				b.WriteString(form(s[done:i]))
				b.WriteRune(r)
				done = i + len(string(r))
			}
		}
		if done == 0 {
			return form(s)
		}
		b.WriteString(form(s[done:]))
		return b.String()
	}
}

// firstInert is the least character of inert and inertCompat.
const firstInert = 0x7fd
