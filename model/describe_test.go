package model_test

import (
	"testing"

	"vgid/model"
)

func TestAbbreviate(t *testing.T) {
	got := model.Abbreviate([]string{"a.layers.0.q", "a.layers.0.k", "a.layers.1.q", "a.layers.1.k", "head"})
	if want := "a.layers.*.q [0…1], a.layers.*.k [0…1], head"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
