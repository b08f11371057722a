package monitor

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Progress shows how far a stage is: one line that rewrites itself on a
// terminal, a plain line now and then elsewhere. It is used by one goroutine.
type Progress struct {
	w        io.Writer
	live     bool
	interval time.Duration
	now      func() time.Time

	label       string
	total, done int
	unit        string
	start, last time.Time
	width       int // of the line on screen
}

// NewProgress shows progress on f; quiet workers pass nil.
func NewProgress(f *os.File) *Progress {
	if f == nil {
		return &Progress{w: io.Discard, interval: time.Hour, now: time.Now}
	}
	p := &Progress{w: f, live: term.IsTerminal(int(f.Fd())), interval: 10 * time.Second, now: time.Now}
	if p.live {
		p.interval = 100 * time.Millisecond
	}
	return p
}

// Start begins a stage of total units.
func (p *Progress) Start(label string, total int, unit string) {
	p.label, p.total, p.unit, p.done = label, total, unit, 0
	p.start = p.now()
	p.last = p.start
}

// Update says that done units are finished; detail is shown behind.
func (p *Progress) Update(done int, detail string) {
	p.done = done
	t := p.now()
	if t.Sub(p.last) < p.interval && done < p.total {
		return
	}
	p.last = t
	p.line(p.text(t, detail))
}

// Printf prints a line of its own between progress lines.
func (p *Progress) Printf(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.w, format+"\n", args...)
}

// Finish ends the stage with its time.
func (p *Progress) Finish(detail string) {
	p.clear()
	d := p.now().Sub(p.start)
	if detail != "" {
		detail = "  " + detail
	}
	fmt.Fprintf(p.w, "%-10s %d %s in %s%s\n", p.label, p.done, p.unit, clock(d), detail)
}

func (p *Progress) text(t time.Time, detail string) string {
	elapsed := t.Sub(p.start)
	rate, eta := "", ""
	if p.done > 0 && elapsed > 0 {
		r := float64(p.done) / elapsed.Seconds()
		rate = fmt.Sprintf("  %.3g %s/s", r, p.unit)
		eta = "  ETA " + clock(time.Duration(float64(p.total-p.done)/r*float64(time.Second)))
	}
	bar := ""
	if p.live && p.total > 0 {
		n := 20 * p.done / p.total
		bar = " " + strings.Repeat("█", n) + strings.Repeat("░", 20-n)
	}
	if detail != "" {
		detail = "  " + detail
	}
	return fmt.Sprintf("%-10s%s %d/%d%s%s%s", p.label, bar, p.done, p.total, rate, eta, detail)
}

func (p *Progress) line(s string) {
	if !p.live {
		fmt.Fprintln(p.w, s)
		return
	}
	n := len([]rune(s))
	fmt.Fprintf(p.w, "\r%s%s", s, strings.Repeat(" ", max(0, p.width-n)))
	p.width = n
}

func (p *Progress) clear() {
	if p.live && p.width > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.width))
		p.width = 0
	}
}

func clock(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
