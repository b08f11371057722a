package option

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

func TestSpell(t *testing.T) {
	as := func(n Name) string { return "<" + string(n) + ">" }
	inner := Errorf("no agent answers at %s (%v)", "a:1", Join)
	for want, err := range map[string]error{
		"no agent answers at a:1 (<addresses to join>)":                                   inner,
		"not within <timeout> 1s: no agent answers at a:1 (<addresses to join>)":          Errorf("not within %v %v: %w", Timeout, time.Second, inner),
		"here: no agent answers at a:1 (<addresses to join>)":                             fmt.Errorf("here: %w", inner),
		"x; no agent answers at a:1 (<addresses to join>)":                                fmt.Errorf("%w; %w", errors.New("x"), inner),
		"<log folder>: no agent answers at a:1 (<addresses to join>)\nanother <job>, 5 %": errors.Join(Errorf("%v: %w", LogDir, inner), Errorf("another %v, 5 %%", Job)),
		"plain": errors.New("plain"),
	} {
		if got := Spell(err, as); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if want := "not within timeout 1s: no agent answers at a:1 (addresses to join)"; Errorf("not within %v %v: %w", Timeout, time.Second, inner).Error() != want {
		t.Errorf("by itself it does not say %q", want)
	}
	if !errors.Is(fmt.Errorf("%w", Errorf("%v: %w", LogDir, os.ErrExist)), os.ErrExist) {
		t.Error("the cause is lost")
	}
}

func TestNames(t *testing.T) {
	all := All()
	if slices.Contains(all, "") || len(slices.Compact(slices.Sorted(slices.Values(all)))) != len(all) {
		t.Errorf("%q: settings are told apart by their names", all)
	}
}
