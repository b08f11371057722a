package hub

import (
	"fmt"
	"time"

	"vgid/model/kit/bytesize"
)

// logf tells the user a line, if there is anyone to be told.
func (s *session) logf(format string, args ...any) {
	if s.Log != nil {
		fmt.Fprintf(s.Log, format+"\n", args...)
	}
}

// announce says what is about to be fetched, when something is.
// It counts what other processes are just fetching, too.
func (s *session) announce(files []*file) {
	n, bytes := 0, int64(0)
	for _, f := range files {
		if !exists(s.repo.blob(f.etag())) {
			n++
			bytes += f.Size
		}
	}
	if n > 0 {
		s.logf("%s: fetching %d files, %s, into %s", s.ref, n, size(bytes), s.repo.dir)
	}
}

// every is how often a running download is reported.
const every = 5 * time.Second

// meter counts a file's bytes as they come.
// It is one of the writers that a body is copied to, and so counts without a goroutine of its
// own.
type meter struct {
	s           *session
	f           *file
	have, start int64
	begun, last time.Time
}

// progress begins to count a file of which so many bytes are there.
func (s *session) progress(f *file, have int64) *meter {
	now := time.Now()
	return &meter{s, f, have, have, now, now}
}

// Write counts, and reports now and then.
func (m *meter) Write(b []byte) (int, error) {
	m.have += int64(len(b))
	if now := time.Now(); now.Sub(m.last) >= every {
		m.last = now
		m.s.logf("%s: %s of %s, %s/s", m.f.Name, size(m.have), size(m.f.Size), size(m.rate()))
	}
	return len(b), nil
}

// rate is in bytes a second, of what came since the beginning.
func (m *meter) rate() int64 {
	return int64(float64(m.have-m.start) / max(1e-3, time.Since(m.begun).Seconds()))
}

// done reports files that took a while; the small ones are not worth a line.
func (m *meter) done() {
	if m.f.Size >= 10e6 {
		m.s.logf("%s: done, %s, %s/s", m.f.Name, size(m.f.Size), size(m.rate()))
	}
}

// size is in decimal units, as sizes of files on the hub are.
func size(n int64) bytesize.Decimal { return bytesize.Decimal(n) }
