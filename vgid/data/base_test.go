package data

import (
	"reflect"
	"strings"
	"testing"
)

func TestBaseExamplesArePure(t *testing.T) {
	m, err := SeeMix.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	m.Lookup, m.ImageSize = .2, 24
	kinds := map[Kind]int{}
	for i := range uint64(400) {
		a, b := BaseExample(5, i, m), BaseExample(5, i, m)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("example %d differs between two calls", i)
		}
		kinds[a.Kind]++
		if (a.Image == nil) != (a.Modality == Text) {
			t.Fatalf("example %d: image and modality disagree: %+v", i, a)
		}
		if (a.Instruction != "") != (a.Kind == KindInstruct) {
			t.Fatalf("example %d of kind %s has instruction %q", i, a.Kind, a.Instruction)
		}
		if a.Instruction != "" && !strings.Contains(a.Instruction, a.Subject) {
			t.Fatalf("instruction %q does not name %q", a.Instruction, a.Subject)
		}
		if a.Question == "" || a.Answer == "" || strings.Contains(a.Question+a.Answer+a.Instruction, "{") {
			t.Fatalf("example %d: %+v", i, a)
		}
	}
	for _, k := range []Kind{KindDescribe, KindAttribute, KindLookup, KindCelebrity, KindInstruct} {
		if kinds[k] < 20 {
			t.Errorf("only %d of 400 examples are %s", kinds[k], k)
		}
	}
}
