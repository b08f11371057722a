package collbench

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"os/exec"
)

// startOurs starts n processes of the running program, which speak by a transport.
func startOurs(ctx context.Context, n int, transport string) (*world, error) {
	// Workers inherit their listeners, so no port can be taken in between.
	files := make([]*os.File, n)
	defer func() {
		for _, f := range files {
			if f != nil {
				f.Close()
			}
		}
	}()
	return startWorld(ctx, transport, n, func(ctx context.Context) ([]*exec.Cmd, error) {
		job := jobSpec{Transport: transport, Token: rand.Text()}
		for r := range n {
			l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
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
}
