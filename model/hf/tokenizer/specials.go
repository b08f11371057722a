package tokenizer

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"vgid/model/hf/tokenizer/internal/subword"
	"vgid/model/kit/plainjson"
)

// namedTokens are the roles that every tokenizer may give a token, in the order
// of transformers (SPECIAL_TOKENS_ATTRIBUTES).
var namedTokens = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

// tokenValue is a token as the small files write it: a string, or an object with
// flags (AddedToken).
type tokenValue struct {
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized *bool  `json:"normalized"` // nil: unless special
	Special    bool   `json:"special"`
}

// token is the token with its flags as AddedToken of the tokenizers library defaults
// them: one that is special is sought in the text as it was written.
func (v tokenValue) token() addedToken {
	t := addedToken{Content: v.Content, SingleWord: v.SingleWord, LStrip: v.LStrip, RStrip: v.RStrip, Normalized: !v.Special, Special: v.Special}
	if v.Normalized != nil {
		t.Normalized = *v.Normalized
	}
	return t
}

// read accepts "tok" and {"content": "tok", …}; a string is a special token.
// A string stands for a token with default flags, which for those that these files name means
// special.
func (v *tokenValue) read(raw json.RawMessage) error {
	if len(raw) > 0 && raw[0] == '{' {
		return plainjson.Unmarshal(raw, v)
	}
	v.Special = true
	return plainjson.Unmarshal(raw, &v.Content)
}

// given is a token that has a name or an id in a file.
// name is empty for tokens without a role, id is 0 for those that no file gives one.
type given struct {
	name string
	id   int
	tokenValue
}

// specials are the tokens of a folder beside its vocabulary, in the order in
// which transformers 5.23 adds them (tokenization_utils_base.py, _from_pretrained,
// and tokenization_utils_tokenizers.py, __init__).
type specials struct {
	listed []given // with ids: added_tokens_decoder, or the older files
	named  []given // bos_token and the like, then those a model names itself
	extra  []given

	mapped map[string]bool // fields that special_tokens_map.json gives
}

// of is the file that a field counts from.
func (s *specials) of(field string) string {
	if s.mapped[field] {
		return "special_tokens_map.json: " + field
	}
	return "tokenizer_config.json: " + field
}

// specials reads them. filed are the added tokens of tokenizer.json, padding its
// section of that name.
// config is a copy, from which a rule takes what those behind it must not see.
func (f *folder) specials(c tokenizerClass, filed []addedToken, padding json.RawMessage) (*specials, error) {
	config := f.config.clone()
	own, err := ownTokens(&config)
	if err != nil {
		return nil, err
	}
	if extra, ok := config.truth("extra_special_tokens"); config.fields["additional_special_tokens"] != nil && !(ok && extra) {
		raw, _ := config.take("additional_special_tokens")
		config.set("extra_special_tokens", raw)
	}
	s := &specials{mapped: map[string]bool{}}
	if raw, ok := config.fields["added_tokens_decoder"]; ok {
		err = s.list(raw)
	} else {
		own, err = s.older(f, &config, own, filed)
	}
	if err != nil {
		return nil, err
	}
	if err := s.name(c, &config, own, padding); err != nil {
		return nil, err
	}
	return s, s.addExtra(&config)
}

// ownTokens takes the tokens that a model names itself, such as image_token, out
// of tokenizer_config.json: strings in fields of their own, then a map of them.
func ownTokens(config *object) ([]given, error) {
	var own []given
	for _, name := range slices.Clone(config.names) {
		if text := config.text(name); strings.HasSuffix(name, "_token") && !slices.Contains(namedTokens, name) && text != "" {
			config.take(name)
			own = append(own, given{name: name, tokenValue: tokenValue{Content: text, Special: true}})
		}
	}
	saved, _ := config.take("model_specific_special_tokens")
	if raw := config.fields["extra_special_tokens"]; len(raw) > 0 && raw[0] == '{' {
		config.take("extra_special_tokens")
		more, err := tokenMap("extra_special_tokens", raw)
		if own = append(own, more...); err != nil {
			return nil, err
		}
	}
	if len(own) > 0 || plainjson.IsNull(saved) {
		return own, nil
	}
	return tokenMap("model_specific_special_tokens", saved)
}

// tokenMap reads an object of names and tokens.
func tokenMap(field string, raw json.RawMessage) ([]given, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, fmt.Errorf("tokenizer_config.json: %s: %w", field, err)
	}
	var list []given
	for _, name := range o.names {
		g := given{name: name}
		if err := g.read(o.fields[name]); err != nil {
			return nil, fmt.Errorf("tokenizer_config.json: %s: %s: %w", field, name, err)
		}
		list = append(list, g)
	}
	return list, nil
}

// list reads added_tokens_decoder; with it neither of the older files counts.
func (s *specials) list(raw json.RawMessage) error {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		return fmt.Errorf("tokenizer_config.json: added_tokens_decoder: %w", err)
	}
	byID := map[int]tokenValue{}
	for _, key := range o.names {
		var v tokenValue
		id, err := strconv.Atoi(key)
		if err == nil && (id < 0 || id > subword.MaxTokenID) {
			err = fmt.Errorf("id is out of range")
		}
		if err == nil {
			err = plainjson.Unmarshal(o.fields[key], &v)
		}
		if err != nil {
			return fmt.Errorf("tokenizer_config.json: added_tokens_decoder: %q: %w", key, err)
		}
		byID[id] = v
	}
	s.sort(byID)
	return nil
}

// sort lists tokens by their ids, in which order they are added.
// An id that is given twice, by two keys of the file, keeps the later token, as a dict does.
func (s *specials) sort(byID map[int]tokenValue) {
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		s.listed = append(s.listed, given{id: id, tokenValue: byID[id]})
	}
}

// older reads what releases before added_tokens_decoder wrote:
// special_tokens_map.json, whose fields replace those of tokenizer_config.json,
// added_tokens.json, and the tokens of tokenizer.json, which win where ids are
// the same.
// It returns own with the tokens that special_tokens_map.json adds, and changes config.
func (s *specials) older(f *folder, config *object, own []given, filed []addedToken) ([]given, error) {
	special := map[string]bool{} // contents of the roles, and of extra ones
	for _, name := range f.special.names {
		raw, err := asTokens(f.special.fields[name], special)
		switch list := len(raw) > 0 && raw[0] == '['; {
		case err != nil:
		case name == "extra_special_tokens" && len(raw) > 0 && raw[0] == '{':
			var more []given
			config.take(name)
			if more, err = tokenMap(name, f.special.fields[name]); err == nil {
				own = append(own, more...)
			}
			raw = nil
		case name == "extra_special_tokens" && list:
			raw, err = joined(config.fields[name], raw)
		}
		if err != nil {
			return nil, fmt.Errorf("special_tokens_map.json: %s: %w", name, err)
		}
		if raw != nil {
			config.set(name, raw)
			s.mapped[name] = true
		}
	}
	for _, name := range namedTokens {
		special[config.text(name)] = true
	}
	var extra []any
	if json.Unmarshal(config.fields["extra_special_tokens"], &extra) == nil {
		for _, v := range extra {
			if text, ok := v.(string); ok {
				special[text] = true
			}
		}
	}
	byID := map[int]tokenValue{}
	for _, content := range f.added.names {
		var id int
		if err := plainjson.Unmarshal(f.added.fields[content], &id); err != nil || id < 0 || id > subword.MaxTokenID {
			return nil, fmt.Errorf("added_tokens.json: %q: %s is no id", content, f.added.fields[content])
		}
		// added_tokens.json has ids alone: the flags follow from what a token is elsewhere.
		normalized := !special[content]
		byID[id] = tokenValue{Content: content, Special: special[content], Normalized: &normalized}
	}
	for _, a := range filed {
		byID[int(a.ID)] = tokenValue{Content: a.Content, SingleWord: a.SingleWord, LStrip: a.LStrip, RStrip: a.RStrip, Normalized: &a.Normalized, Special: a.Special}
	}
	s.sort(byID)
	return own, nil
}

// asTokens makes the objects of special_tokens_map.json, which do not say that
// they are tokens, say so, and notes their contents. They are special.
func asTokens(raw json.RawMessage, special map[string]bool) (json.RawMessage, error) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil && list != nil {
		for i, r := range list {
			var err error
			if list[i], err = asTokens(r, special); err != nil {
				return nil, err
			}
		}
		return json.Marshal(list)
	}
	var o map[string]any
	if json.Unmarshal(raw, &o) != nil || o == nil {
		return raw, nil
	}
	o["__type"], o["special"] = "AddedToken", true
	if text, ok := o["content"].(string); ok {
		special[text] = true
	}
	return json.Marshal(o)
}

// joined is a list with what a second one has beyond it.
// Entries are compared as they are written.
func joined(first, second json.RawMessage) (json.RawMessage, error) {
	var a, b []json.RawMessage
	if !plainjson.IsNull(first) {
		if err := json.Unmarshal(first, &a); err != nil {
			return nil, err
		}
	}
	if err := json.Unmarshal(second, &b); err != nil {
		return nil, err
	}
	for _, raw := range b {
		if !slices.ContainsFunc(a, func(o json.RawMessage) bool { return string(o) == string(raw) }) {
			a = append(a, raw)
		}
	}
	return json.Marshal(a)
}

// name gives the roles: what the config says, else the class's or that of the
// padding in tokenizer.json. A token that is listed has the flags of its list.
func (s *specials) name(c tokenizerClass, config *object, own []given, padding json.RawMessage) error {
	flags := map[string]tokenValue{}
	for _, l := range s.listed {
		flags[l.Content] = l.tokenValue
	}
	var pad struct {
		Token string `json:"pad_token"`
	}
	if !plainjson.IsNull(padding) {
		if err := plainjson.Unmarshal(padding, &pad); err != nil {
			return fmt.Errorf("tokenizer.json: padding: %w", err)
		}
	}
	add := func(name string, raw json.RawMessage) error {
		g := given{name: name}
		if err := g.read(raw); err != nil {
			return fmt.Errorf("%s: %w", s.of(name), err)
		}
		if v, ok := flags[g.Content]; ok {
			g.tokenValue = v
		}
		if g.Content != "" {
			s.named = append(s.named, g)
		}
		return nil
	}
	for _, name := range namedTokens {
		raw, there := config.fields[name]
		switch {
		case !there && c.defaults[name] != "":
			raw, _ = json.Marshal(c.defaults[name])
		case !there && name == "pad_token" && pad.Token != "":
			raw, _ = json.Marshal(pad.Token)
		}
		if plainjson.IsNull(raw) {
			continue
		}
		if err := add(name, raw); err != nil {
			return err
		}
	}
	// Python's dicts keep their order, and here it decides ids.
	// Names that a model gives: those of special_tokens_map.json, and tokens with
	// flags, come before the rest but count less.
	for _, name := range config.names {
		if !strings.HasSuffix(name, "_token") || slices.Contains(namedTokens, name) {
			continue
		}
		g := given{name: name}
		if !typed(config.fields[name]) || g.read(config.fields[name]) != nil {
			continue
		}
		if i := slices.IndexFunc(own, func(o given) bool { return o.name == name }); i >= 0 {
			g = own[i]
			own = slices.Delete(slices.Clone(own), i, i+1)
		}
		s.named = append(s.named, g)
	}
	s.named = append(s.named, own...)
	return nil
}

// typed reports whether a field outside the usual roles is a token to
// transformers: a string, or an object that says it is one.
// An object without __type stays a dict in Python.
func typed(raw json.RawMessage) bool {
	var o struct {
		Type string `json:"__type"`
	}
	return len(raw) > 0 && (raw[0] == '"' || json.Unmarshal(raw, &o) == nil && o.Type == "AddedToken")
}

// addExtra reads the list of further special tokens, which have no role.
func (s *specials) addExtra(config *object) error {
	field := "extra_special_tokens"
	if _, there := config.fields[field]; !there {
		field = "additional_special_tokens" // of special_tokens_map.json
	}
	raw := config.fields[field]
	if plainjson.IsNull(raw) {
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("%s: %s is no list", s.of(field), raw)
	}
	for _, r := range list {
		var g given
		if err := g.read(r); err != nil {
			return fmt.Errorf("%s: %w", s.of(field), err)
		}
		s.extra = append(s.extra, g)
	}
	return nil
}

// values are the named tokens by their names, as a chat template asks for them.
func (s *specials) values() map[string]string {
	v := map[string]string{}
	for _, g := range s.named {
		v[g.name] = g.Content
	}
	return v
}
