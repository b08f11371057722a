package optim

import (
	"math"
	"testing"
)

func TestSchedule(t *testing.T) {
	for _, tt := range []struct {
		s    Schedule
		step int
		want float64
	}{
		{Schedule{"constant", 2, 4, 10, 0}, 0, 0.5},
		{Schedule{"constant", 2, 4, 10, 0}, 3, 2},
		{Schedule{"constant", 2, 4, 10, 0}, 99, 2},
		{Schedule{"linear", 2, 0, 10, 0}, 5, 1},
		{Schedule{"linear", 2, 0, 10, 0.5}, 10, 1},
		{Schedule{"cosine", 2, 2, 12, 0.1}, 2, 2},
		{Schedule{"cosine", 2, 2, 12, 0.1}, 7, 1.1},
		{Schedule{"cosine", 2, 2, 12, 0.1}, 12, 0.2},
		{Schedule{"cosine", 2, 2, 12, 0.1}, 50, 0.2},
	} {
		if err := tt.s.Validate(); err != nil {
			t.Error(err)
		}
		if got := tt.s.At(tt.step); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%+v at %d: %g, want %g", tt.s, tt.step, got, tt.want)
		}
	}
	for _, s := range []Schedule{{Kind: "step"}, {Kind: "linear", Peak: -1}, {Kind: "linear", Warmup: -1}, {Kind: "linear", Final: 2}} {
		if s.Validate() == nil {
			t.Errorf("%+v passes", s)
		}
	}
}
