package h2

import (
	"testing"
	"time"
)

// A link of one speed and a kernel that takes so much beyond what has left: control
// messages must not stand behind more than a moment's worth of bytes, or where that is
// nothing, behind the least; and on a fast link a call sends much.
func TestPaceFitsTheLink(t *testing.T) {
	for name, c := range map[string]struct {
		perSecond, least, most int
	}{
		"a slow link":  {500_000, minPace, 128 << 10},
		"slower still": {50_000, minPace, minPace},
		"a network":    {125_000_000, batch, batch},
	} {
		var p pace
		p.init()
		const buffer = 256 << 10
		unsent := 0.0
		for range 100 {
			n := p.get()
			took := max(0, unsent+float64(n)-buffer) / float64(c.perSecond)
			unsent = max(0, min(unsent+float64(n), buffer))
			p.wrote(n, time.Duration(took*float64(time.Second)))
		}
		if got := p.get(); got < c.least || got > c.most {
			t.Errorf("%s of %d bytes a second: %d bytes at a time, want %d … %d", name, c.perSecond, got, c.least, c.most)
		}
	}
}

// Short messages tell nothing of the link.
func TestPaceOfShortMessages(t *testing.T) {
	var p pace
	p.init()
	for range 100 {
		p.wrote(100, time.Microsecond)
	}
	if p.get() != atFirst {
		t.Errorf("short messages change the pace to %d", p.get())
	}
	p.wrote(100, time.Second) // it stood behind others
	if p.get() != atFirst/2 {
		t.Errorf("a write that takes a second leaves the pace at %d", p.get())
	}
}
