package collbench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"

	"vgid/collective/netlab"
)

// startOurs starts n processes of the running program, which make calls in a way, each on a node of the lab if there is one.
func startOurs(ctx context.Context, n int, by way, lab *netlab.Lab) (*world, error) {
	start, listen := starter(here), func(ctx context.Context, _ int) (net.Listener, error) {
		return new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if lab != nil {
		start, listen = lab.Run, lab.Listen
	}
	// Workers inherit their listeners, so no port can be taken in between.
	files := make([]*os.File, n)
	defer func() {
		for _, f := range files {
			if f != nil {
				f.Close()
			}
		}
	}()
	w, err := startWorld(ctx, by.String(), n, start, func(ctx context.Context) ([]*exec.Cmd, error) {
		job := jobSpec{Way: by, Token: rand.Text()}
		if err := job.secure(); err != nil {
			return nil, err
		}
		for r := range n {
			l, err := listen(ctx, r)
			if err != nil {
				return nil, err
			}
			job.Peers = append(job.Peers, l.Addr().String())
			files[r], err = l.(*net.TCPListener).File()
			if err = errors.Join(err, l.Close()); err != nil {
				return nil, err
			}
		}
		cmds := make([]*exec.Cmd, n)
		for r := range cmds {
			job.Rank = r
			cmd, err := worker.Command(ctx, job)
			if err != nil {
				return nil, err
			}
			cmd.ExtraFiles = []*os.File{files[r]}
			cmds[r] = cmd
		}
		return cmds, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%v: %w", by, err)
	}
	w.way = by
	return w, nil
}
