package job

import (
	"testing"
	"time"
)

func TestStandstill(t *testing.T) {
	type look struct {
		ms      int
		stopped bool
	}
	for name, c := range map[string]struct {
		looks []look
		want  int // milliseconds
	}{
		"stopped throughout":       {[]look{{0, false}, {500, true}, {1000, true}, {1500, true}}, 1500},
		"goes on":                  {[]look{{0, true}, {500, true}, {1000, false}, {1500, true}}, 500},
		"first look":               {[]look{{0, true}}, 0},
		"the agent stood still":    {[]look{{0, true}, {500, true}, {60000, true}}, 1500},
		"the clock was set back":   {[]look{{5000, true}, {1000, true}, {1500, true}}, 500},
		"looks that come too late": {[]look{{0, true}, {1400, true}, {2800, true}}, 2000},
	} {
		var s Standstill
		var got time.Duration
		for _, l := range c.looks {
			got = s.Look(time.Unix(100, 0).Add(time.Duration(l.ms)*time.Millisecond), l.stopped)
		}
		if got != time.Duration(c.want)*time.Millisecond {
			t.Errorf("%s: %v, want %d ms", name, got, c.want)
		}
	}
}
