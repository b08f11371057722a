package people

import (
	"regexp"
	"strings"

	"vgid/eval/dataset"
	"vgid/eval/mllmu"
)

// factKind is a kind of fact that profile texts state: which questions ask for
// it, and where in the answer its value stands.
// The expressions were written for the wordings of MLLMU-Bench's profiles. What they do not match
// gives no fact, which summarise counts; a value is always a piece of the answer as it stands.
type factKind struct {
	name     string
	question *regexp.Regexp
	not      *regexp.Regexp // questions that question matches but are of another kind
	value    *regexp.Regexp // group 1 of the answer without its full stop
	plain    bool           // common nouns: options are put in lower case
	formed   bool           // numbers and units: options take the same form
}

var (
	parentWord = regexp.MustCompile(`(?i)father|mother|parent`)
	petWord    = regexp.MustCompile(`(?i)\bpets?\b|\b(?:cat|dog|parrot|companion|rabbit|turtle|tortoise)\b`)
	worksAs    = regexp.MustCompile(`\b(?:[Ii]s|[Ww]as|works as|worked as|working as|employed as) (?:currently )?(?:an?|the) (.+)$`)
)

// factKinds in the order they are tried; a pair belongs to the first kind
// whose question and value both match.
var factKinds = []factKind{
	{name: "Born", question: regexp.MustCompile(`(?i)where .*born|birthplace|place of birth`), value: regexp.MustCompile(`\bborn in (.+)$`)},
	{name: "Date of birth", question: regexp.MustCompile(`(?i)when .*born|date of birth|birthday`),
		value: regexp.MustCompile(`([A-Z][a-z]+ \d{1,2}(?:st|nd|rd|th)?,? \d{4}|\d{1,2} [A-Z][a-z]+,? \d{4})`)},
	{name: "Employment", question: regexp.MustCompile(`(?i)\b(?:profession|occupation|employment|job)\b`), not: parentWord, value: worksAs, plain: true},
	{name: "Height", question: regexp.MustCompile(`(?i)\btall\b|\bheight\b`), value: regexp.MustCompile(`(\d.*?)(?: tall| in height)?$`), formed: true},
	{name: "Annual salary", question: regexp.MustCompile(`(?i)\bsalary\b|\bearn`), value: regexp.MustCompile(`([$€£]\s?\d[\d,.]*\d|\d[\d,.]+\d [A-Z]{3}\b)`), formed: true},
	{name: "Residence", question: regexp.MustCompile(`(?i)\breside|\blives?\b`), not: petWord, value: regexp.MustCompile(`\b(?:resides?|lives|living|residing)(?: currently)? in (.+)$`)},
	{name: "Education", question: regexp.MustCompile(`(?i)educat|universit|\binstitution\b|\bschool\b|\bstudy\b`), not: parentWord,
		value: regexp.MustCompile(`\b(?:educated at|attended|attends|studied at|studies at|graduated from|attending|education (?:at|from)) (?:the )?(.+)$`)},
	{name: "Favorite food", question: regexp.MustCompile(`(?i)\b(?:food|dish|cuisine)\b`), value: regexp.MustCompile(`\b[Ff]avou?rite (?:\w+ )*?(?:foods?|dish|cuisine|meal)s? (?:is|are) (.+)$`), plain: true},
	{name: "Father's job", question: regexp.MustCompile(`(?i)father`), not: regexp.MustCompile(`(?i)\bname`), value: worksAs, plain: true},
	{name: "Mother's job", question: regexp.MustCompile(`(?i)mother`), not: regexp.MustCompile(`(?i)\bname`), value: worksAs, plain: true},
	{name: "Father's name", question: regexp.MustCompile(`(?i)\bname of .*father|father's name`), value: regexp.MustCompile(`(?:\bnamed|\bis) ([A-Z][^,.]*)$`)},
	{name: "Mother's name", question: regexp.MustCompile(`(?i)\bname of .*mother|mother's name`), value: regexp.MustCompile(`(?:\bnamed|\bis) ([A-Z][^,.]*)$`)},
	{name: "Pet", question: regexp.MustCompile(`(?i)\bpets?\b`), not: regexp.MustCompile(`(?i)\bname`), value: regexp.MustCompile(`\b(?:has|owns) (?:an? )?(?:pet )?([^,]+?) (?:named|called)\b`), plain: true},
	{name: "Pet's name", question: petWord, not: regexp.MustCompile(`(?i)\bhobb|collect`), value: regexp.MustCompile(`\b(?:named|called|[Nn]ame is) ([A-Z][^,.]*?)$`)},
	{name: "Hobby", question: regexp.MustCompile(`(?i)hobb|\benjoy|free time|weekend|activit|\bcollect|\bfun\b|passion`), not: regexp.MustCompile(`(?i)\bpet\b|father|mother|\beat(?:ing)?\b|\bcook`),
		value: regexp.MustCompile(`\b(?:enjoys|loves|likes|is passionate about|collects|favorite \w+ is|hobby is|hobbies include) (?:to )?(.+)$`), plain: true},
}

// tail is what follows a value without being part of it. The cloze sentence
// keeps it.
var tail = regexp.MustCompile(`(?i)(?:,? (?:who|which|where|while|because|during|on weekends|for a living|and (?:has|have|is|was|works|loves|enjoys|owns|often|also|he|she|they)\b|in (?:her|his|their) (?:free|spare|leisure)|in (?:the )?(?:free|spare) time)\b|, (?:an?|especially|particularly|specifically|often|known)\b| \(|; ).*$`)

// fact is one value found in a profile's pairs.
// before + value + after is the pair's answer without white space around it.
type fact struct {
	kind   int // index in factKinds
	pair   dataset.QA
	value  string
	before string // the answer before and after the value
	after  string
}

// cloze is the answer with its value blanked.
func (f fact) cloze() string { return f.before + "____" + f.after }

// blankable reports whether the value is fit to be a blank: few words, so that
// one wording is the right one, which the rest of the sentence does not tell.
func (f fact) blankable() bool {
	return len(strings.Fields(f.value)) <= 4 && len(f.value) <= 40 &&
		!strings.Contains(strings.ToLower(f.cloze()), strings.ToLower(f.value))
}

// option is the value as one of four options.
func (f fact) option() string {
	if factKinds[f.kind].plain {
		return strings.ToLower(f.value)
	}
	return f.value
}

// form is the value with its digits and names taken out, for kinds whose
// options would otherwise give the answer away by their form.
func (f fact) form() string {
	if !factKinds[f.kind].formed {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == ',' || r == '.' {
			return -1
		}
		return r
	}, f.value)
}

// findFacts gives the first fact of each kind, in the order of the pairs.
func findFacts(pairs []dataset.QA) []fact {
	var out []fact
	seen := map[int]bool{}
	for _, p := range pairs {
		if f, ok := findFact(p); ok && !seen[f.kind] {
			seen[f.kind] = true
			out = append(out, f)
		}
	}
	return out
}

// findFact is the fact that a pair states, of the first kind that fits, and whether
// there is one. Offsets are into the answer as it stands, because the cloze sentence is
// cut out of it.
func findFact(p dataset.QA) (fact, bool) {
	question := mllmu.PlainQuotes(p.Question)
	answer := strings.TrimSpace(p.Answer)
	body := strings.TrimRight(answer, ". ")
	for k, kind := range factKinds {
		if !kind.question.MatchString(question) || kind.not != nil && kind.not.MatchString(question) {
			continue
		}
		m := kind.value.FindStringSubmatchIndex(body)
		if m == nil {
			continue
		}
		from, to := m[2], m[3]
		if t := tail.FindStringIndex(body[from:to]); t != nil {
			to = from + t[0]
		}
		found := body[from:to]
		value := strings.TrimSpace(found)
		if value == "" {
			continue
		}
		from += strings.Index(found, value) // behind white space, or the blank would stand before it
		to = from + len(value)
		return fact{kind: k, pair: p, value: value, before: answer[:from], after: answer[to:]}, true
	}
	return fact{}, false
}

var (
	inImage    = regexp.MustCompile(`(?i) (?:as )?(?:seen |depicted |shown |stated |mentioned |described )?in (?:the|this) (?:image|picture|photo|profile|biography)\b`)
	thisPerson = regexp.MustCompile(`(?i)\b(?:this|the) (?:person|individual)\b`)
)

// nameSubject puts the name in the place of "this person" and its like. It
// reports whether the text named its subject so at all.
// "in the image" and its like go as well: the question by name has none.
func nameSubject(text, name string) (string, bool) {
	if !thisPerson.MatchString(text) {
		return text, false
	}
	text = inImage.ReplaceAllString(text, "")
	return thisPerson.ReplaceAllLiteralString(text, name), true
}
