package metric

import "strings"

// irregular lists the words that NLTK's Porter stemmer does not derive by rule.
var irregular = map[string]string{
	"sky": "sky", "skies": "sky",
	"dying": "die", "lying": "lie", "tying": "tie",
	"news":    "news",
	"innings": "inning", "inning": "inning",
	"outings": "outing", "outing": "outing",
	"cannings": "canning", "canning": "canning",
	"howe":    "howe",
	"proceed": "proceed", "exceed": "exceed", "succeed": "succeed",
}

// Stem reduces a lower-case ASCII word to its stem by Porter's algorithm
// (1980) with the departures of NLTK's default mode, which are what Google's
// rouge_score is computed with: a table of irregular forms, -ies and -ied of
// four-letter words, y kept after a vowel, -alli before the other suffixes,
// -fulli and -logi, and vowel-consonant counted as a short syllable.
func Stem(word string) string {
	if s, ok := irregular[word]; ok {
		return s
	}
	if len(word) <= 2 {
		return word
	}
	// The steps in Porter's order; each takes what the one before it left.
	w := plural(word)
	w = pastOrProgressive(w)
	if n := len(w); n > 2 && w[n-1] == 'y' && consonant(w, n-2) {
		w = w[:n-1] + "i"
	}
	w = doubleSuffix(w)
	w = replaceFirst(w, suffixes3, 0)
	w = dropSuffix(w)
	if stem, ok := strings.CutSuffix(w, "e"); ok {
		if m := measure(stem); m > 1 || (m == 1 && !shortSyllable(stem)) {
			w = stem
		}
	}
	if strings.HasSuffix(w, "ll") && measure(w[:len(w)-1]) > 1 {
		w = w[:len(w)-1]
	}
	return w
}

// plural is step 1a.
func plural(w string) string {
	switch {
	case strings.HasSuffix(w, "ies"):
		if len(w) == 4 {
			return w[:3] // dies → die, but flies → fli
		}
		return w[:len(w)-2]
	case strings.HasSuffix(w, "sses"):
		return w[:len(w)-2]
	case strings.HasSuffix(w, "ss"):
		return w
	}
	return strings.TrimSuffix(w, "s")
}

// pastOrProgressive is step 1b.
func pastOrProgressive(w string) string {
	if stem, ok := strings.CutSuffix(w, "ied"); ok {
		if len(w) == 4 {
			return stem + "ie" // died → die, but spied → spi
		}
		return stem + "i"
	}
	if stem, ok := strings.CutSuffix(w, "eed"); ok {
		if measure(stem) > 0 {
			return stem + "ee"
		}
		return w
	}
	stem, ok := strings.CutSuffix(w, "ed")
	if !ok || !hasVowel(stem) {
		if stem, ok = strings.CutSuffix(w, "ing"); !ok || !hasVowel(stem) {
			return w
		}
	}
	last := len(stem) - 1
	switch {
	case strings.HasSuffix(stem, "at"), strings.HasSuffix(stem, "bl"), strings.HasSuffix(stem, "iz"):
		return stem + "e"
	case last > 0 && stem[last] == stem[last-1] && consonant(stem, last):
		if strings.IndexByte("lsz", stem[last]) >= 0 {
			return stem
		}
		return stem[:last]
	case measure(stem) == 1 && shortSyllable(stem):
		return stem + "e"
	}
	return stem
}

// suffix replaces old by new; tail is how much of old counts as part of the
// stem whose measure decides.
type suffix struct {
	old, new string
	tail     int
}

// Steps 2 and 3: the first one that fits counts, so that a longer ending stands before the
// one that it ends in.
var suffixes2 = []suffix{
	{"ational", "ate", 0}, {"tional", "tion", 0}, {"enci", "ence", 0}, {"anci", "ance", 0},
	{"izer", "ize", 0}, {"bli", "ble", 0}, {"alli", "al", 0}, {"entli", "ent", 0},
	{"eli", "e", 0}, {"ousli", "ous", 0}, {"ization", "ize", 0}, {"ation", "ate", 0},
	{"ator", "ate", 0}, {"alism", "al", 0}, {"iveness", "ive", 0}, {"fulness", "ful", 0},
	{"ousness", "ous", 0}, {"aliti", "al", 0}, {"iviti", "ive", 0}, {"biliti", "ble", 0},
	{"fulli", "ful", 0},
	{"logi", "log", 1}, // so that geology and theology reduce as archaeology does
}

var suffixes3 = []suffix{
	{"icate", "ic", 0}, {"ative", "", 0}, {"alize", "al", 0}, {"iciti", "ic", 0},
	{"ical", "ic", 0}, {"ful", "", 0}, {"ness", "", 0},
}

// The order matters: the first suffix that fits decides.
var suffixes4 = []string{
	"al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent",
	"ion", "ou", "ism", "ate", "iti", "ous", "ive", "ize",
}

// doubleSuffix is step 2. A word in -alli goes through it again, as -al.
func doubleSuffix(w string) string {
	for {
		stem, ok := strings.CutSuffix(w, "alli")
		if !ok || measure(stem) == 0 {
			return replaceFirst(w, suffixes2, 0)
		}
		w = stem + "al"
	}
}

// replaceFirst applies the first rule whose suffix fits when the stem's
// measure is above least; later rules are not tried either way.
func replaceFirst(w string, rules []suffix, least int) string {
	for _, r := range rules {
		if stem, ok := strings.CutSuffix(w, r.old); ok {
			if measure(w[:len(stem)+r.tail]) > least {
				return stem + r.new
			}
			return w
		}
	}
	return w
}

// dropSuffix is step 4.
func dropSuffix(w string) string {
	for _, s := range suffixes4 {
		stem, ok := strings.CutSuffix(w, s)
		if !ok {
			continue
		}
		if measure(stem) > 1 && (s != "ion" || strings.HasSuffix(stem, "s") || strings.HasSuffix(stem, "t")) {
			return stem
		}
		return w
	}
	return w
}

// consonant reports whether w[i] is one: not a, e, i, o, u, and not a y that
// follows a consonant.
func consonant(w string, i int) bool {
	turned := false
	for ; ; i-- {
		switch w[i] {
		case 'a', 'e', 'i', 'o', 'u':
			return turned
		case 'y':
			if i > 0 {
				turned = !turned
				continue
			}
		}
		return !turned
	}
}

// measure counts the vowel-to-consonant changes: m of [C](VC)^m[V].
func measure(w string) int {
	m, before := 0, true
	for i := range len(w) {
		c := nextConsonant(w, i, before)
		if c && !before {
			m++
		}
		before = c
	}
	return m
}

func hasVowel(w string) bool {
	before := true
	for i := range len(w) {
		if before = nextConsonant(w, i, before); !before {
			return true
		}
	}
	return false
}

// nextConsonant is consonant for a walk from the left that knows the letter
// before, which keeps a long run of y linear.
func nextConsonant(w string, i int, before bool) bool {
	switch w[i] {
	case 'a', 'e', 'i', 'o', 'u':
		return false
	case 'y':
		return i == 0 || !before
	}
	return true
}

// shortSyllable reports whether w ends consonant-vowel-consonant, the last not
// w, x or y, or is a vowel and a consonant.
func shortSyllable(w string) bool {
	n := len(w)
	if n == 2 {
		return !consonant(w, 0) && consonant(w, 1)
	}
	return n > 2 && consonant(w, n-3) && !consonant(w, n-2) && consonant(w, n-1) &&
		strings.IndexByte("wxy", w[n-1]) < 0
}
