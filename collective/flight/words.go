package flight

import (
	"fmt"
	"strings"
	"time"
)

// Words name a call: "all-reduce #412 (sum, f32, 1048576 elements)".
func (c *Call) Words() string {
	if c.Peer != NoRank {
		way := "from"
		if c.Call == "send" {
			way = "to"
		}
		text := fmt.Sprintf("%s %s rank %d", c.Call, way, c.Peer)
		if c.Tag != NoRank {
			text += fmt.Sprintf(", tag %d", c.Tag)
		}
		return text + ofComm(c.Comm)
	}
	text := c.Call
	if c.Number > 0 {
		text += fmt.Sprintf(" #%d", c.Number)
	}
	var about []string
	if c.Op != "" {
		about = append(about, c.Op)
	}
	if c.Type != "" {
		about = append(about, c.Type)
		if c.Count > 0 {
			about = append(about, fmt.Sprintf("%d elements", c.Count))
		}
	}
	if c.Root != NoRank {
		about = append(about, fmt.Sprintf("root %d", c.Root))
	}
	if about != nil {
		text += " (" + strings.Join(about, ", ") + ")"
	}
	return text + ofComm(c.Comm)
}

// ofComm names a communicator other than that of the whole job.
func ofComm(n uint32) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" of communicator %d", n)
}

// Span is a number of seconds in words.
func Span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second / 10).String()
}

// most is how many ranks are listed before they are counted.
const most = 8

// Ranks names ranks: "rank 3", "ranks 0, 1", "60 ranks (2 … 61)".
func Ranks(r []int) string {
	switch {
	case len(r) == 1:
		return fmt.Sprintf("rank %d", r[0])
	case len(r) > most:
		return fmt.Sprintf("%d ranks (%d … %d)", len(r), r[0], r[len(r)-1])
	}
	return "ranks " + strings.Trim(strings.ReplaceAll(fmt.Sprint(r), " ", ", "), "[]")
}
