package tokenizer

import "slices"

// addedVocabulary are the added tokens, added one after the other as by
// AddedVocabulary of the tokenizers library: one that is in the vocabulary keeps
// its id, any other gets the next one, whatever id a file gives it; one that is
// added again takes the flags of the last time, but stays special.
// byID and ids speak of the same tokens.
type addedVocabulary struct {
	known   func(content string) (int32, bool) // of the model
	next    int32                              // id of the next token that is new
	byID    map[int32]addedToken
	ids     map[string]int32
	special map[string]bool
	// shown are those that were normalized when they were added once: decoding
	// shows them so even if they are not any more.
	shown map[int32]bool
}

// newAddedVocabulary begins with the model's vocabulary alone.
func newAddedVocabulary(model map[string]int32) *addedVocabulary {
	return &addedVocabulary{
		known: func(s string) (int32, bool) { id, ok := model[s]; return id, ok }, next: int32(len(model)),
		byID: map[int32]addedToken{}, ids: map[string]int32{}, special: map[string]bool{}, shown: map[int32]bool{},
	}
}

// add is add_tokens of one token. The empty one is no token.
func (v *addedVocabulary) add(t addedToken) {
	if t.Content == "" {
		return
	}
	if t.Special {
		v.special[t.Content] = true
	}
	id, ok := v.ids[t.Content]
	if !ok {
		id, ok = v.known(t.Content)
	}
	if !ok {
		id = v.next
	}
	t.ID, v.next = id, max(v.next, id+1)
	v.ids[t.Content], v.byID[id] = id, t
	v.shown[id] = v.shown[id] || t.Normalized
}

// addAll adds what tokenizer.json lists, unless the class leaves it out, and the
// folder's tokens.
// there are the texts that are added already, of which named and extra ones add nothing.
func (v *addedVocabulary) addAll(filed []addedToken, s *specials, c tokenizerClass) {
	if c.rebuild == nil {
		for _, t := range filed {
			v.add(t)
		}
	}
	named := func(content string) bool {
		return slices.ContainsFunc(s.named, func(g given) bool { return g.Content == content })
	}
	there := map[string]bool{}
	for content := range v.ids {
		there[content] = true
	}
	for _, g := range s.listed {
		there[g.Content] = true
		g.Special = g.Special || named(g.Content)
		v.add(g.token())
	}
	for i, g := range slices.Concat(s.named, s.extra) {
		if !there[g.Content] {
			g.Special = g.Special || i < len(s.named) || named(g.Content)
			v.add(g.token())
		}
	}
	if c.plainSpecials {
		for _, g := range slices.Concat(s.named, s.extra) {
			v.add(addedToken{Content: g.Content, Special: true})
		}
	}
}
