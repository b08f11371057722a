package launch

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// Notice is what an agent tells its workers while they run: that ranks are
// lost, which a worker that waits for their words would learn only from their
// silence. Notices are lines of JSON in the pipe that EnvNoticeFD names.
type Notice struct {
	Ranks []int  `json:"ranks"`
	Why   string `json:"why"`
}

// WriteTo writes the notice as one line.
func (n Notice) WriteTo(w io.Writer) (int64, error) {
	b, err := json.Marshal(n)
	if err != nil {
		return 0, err
	}
	k, err := w.Write(append(b, '\n'))
	return int64(k), err
}

// noticePipe takes over the descriptor of an inherited pipe, in a way that
// closing it ends a read.
func noticePipe(fd int) (*os.File, error) {
	syscall.CloseOnExec(fd)
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("%s=%d: %w; start workers by vgid-launch only", EnvNoticeFD, fd, err)
	}
	return os.NewFile(uintptr(fd), "notices"), nil
}

// OnLost calls f for every rank that this worker's agent tells is lost, from
// one goroutine. stop ends that and waits for it. Call it once.
func (w Worker) OnLost(f func(rank int, why string)) (stop func()) {
	if w.notices == nil {
		return func() {}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		lines := bufio.NewScanner(w.notices)
		for lines.Scan() {
			var n Notice
			if json.Unmarshal(lines.Bytes(), &n) != nil {
				continue // of an agent that knows more kinds
			}
			for _, r := range n.Ranks {
				if r >= 0 && r < w.WorldSize && r != w.Rank {
					f(r, n.Why)
				}
			}
		}
	})
	return func() {
		w.notices.Close()
		wg.Wait()
	}
}
