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
	columns  func() int // of the terminal, when live
	interval time.Duration
	now      func() time.Time

	label       string
	total, done int
	before      int // of them, done before Start
	unit        string
	start, last time.Time
	width       int   // of the line on screen
	err         error // the first that w gave
}

// NewProgress shows progress on f; quiet workers pass nil.
func NewProgress(f *os.File) *Progress {
	if f == nil {
		return &Progress{w: io.Discard, interval: time.Hour, now: time.Now}
	}
	p := &Progress{w: f, live: term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb", interval: 10 * time.Second, now: time.Now}
	if p.live {
		p.interval = 100 * time.Millisecond
		p.columns = func() int {
			if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
				return n
			}
			return 80
		}
	}
	return p
}

// Start begins a stage of total units, of which some are done: rate and time to go
// are of the others.
func (p *Progress) Start(label string, total, done int, unit string) {
	p.label, p.total, p.unit, p.done, p.before = label, total, unit, done, done
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
	p.printf(format+"\n", args...)
}

// Finish ends the stage with its time.
func (p *Progress) Finish(detail string) {
	p.clear()
	d := p.now().Sub(p.start)
	if detail != "" {
		detail = "  " + detail
	}
	p.printf("%-10s %d %s in %s%s\n", p.label, p.done-p.before, p.unit, clock(d), detail)
}

// Err is the first error of what was shown. A full disk behind a redirection is
// no reason to end a stage; that lines are missing has to be said at the end.
func (p *Progress) Err() error { return p.err }

func (p *Progress) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(p.w, format, args...); err != nil && p.err == nil {
		p.err = err
	}
}

// text is the line as it is wanted; line cuts off what the terminal has no room for.
func (p *Progress) text(t time.Time, detail string) string {
	elapsed := t.Sub(p.start)
	rate, eta := "", ""
	if n := p.done - p.before; n > 0 && elapsed > 0 {
		r := float64(n) / elapsed.Seconds()
		rate = fmt.Sprintf("  %.3g %s/s", r, p.unit)
		eta = "  ETA " + clock(time.Duration(float64(p.total-p.done)/r*float64(time.Second)))
	}
	if detail != "" {
		detail = "  " + detail
	}
	told := fmt.Sprintf(" %d/%d%s%s%s", p.done, p.total, rate, eta, detail)
	bar := ""
	if p.live && p.total > 0 {
		// A line that fills the terminal would wrap, and could not be rewritten.
		room := p.columns() - 1 - len([]rune(told)) - max(10, len([]rune(p.label)))
		if n := min(20, (room-1)/5*5); n > 0 { // in fives: the numbers' lengths change all the time
			full := n * p.done / p.total
			bar = " " + strings.Repeat("█", full) + strings.Repeat("░", n-full)
		}
	}
	return fmt.Sprintf("%-10s%s%s", p.label, bar, told)
}

// line writes over the line before it, with blanks where that was longer.
func (p *Progress) line(s string) {
	if !p.live {
		p.printf("%s\n", s)
		return
	}
	text, most := []rune(s), max(1, p.columns()-1)
	if len(text) > most {
		text = append(text[:most-1], '…')
	}
	n := len(text)
	p.printf("\r%s%s", string(text), strings.Repeat(" ", max(0, min(p.width, most)-n)))
	p.width = n
}

// Break leaves the line on screen and begins another, for what is printed next
// by somebody else: an error.
func (p *Progress) Break() {
	if p.live && p.width > 0 {
		p.printf("\n")
		p.width = 0
	}
}

// clear makes room for a line of its own.
func (p *Progress) clear() {
	if p.live && p.width > 0 {
		p.printf("\r%s\r", strings.Repeat(" ", max(0, min(p.width, p.columns()-1))))
		p.width = 0
	}
}

// clock is a duration for people: tenths of a second below a minute.
func clock(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
