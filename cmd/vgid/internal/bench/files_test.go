package bench

import (
	"errors"
	"fmt"
	"testing"

	"vgid/model/loadbench"
)

// A library knows why nothing can be measured cold; that there is a flag for it, the program.
func TestColdStartsThatCannotBeMeasuredNameTheFlag(t *testing.T) {
	for want, cold := range map[string]*loadbench.ColdError{
		"x: nowhere; leave --cold out":                 {Why: "nowhere"},
		"x: it is mapped; end it, or leave --cold out": {Why: "it is mapped", Do: "end it"},
	} {
		if got := withoutCold(fmt.Errorf("x: %w", cold)); got.Error() != want || !errors.As(got, &cold) {
			t.Errorf("%v, want %s", got, want)
		}
	}
	if err := errors.New("other"); withoutCold(err) != err { //nolint:errorlint // the same, unwrapped
		t.Error("another error is changed")
	}
	if withoutCold(nil) != nil {
		t.Error("no error is one")
	}
}
