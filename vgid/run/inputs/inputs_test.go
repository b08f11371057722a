package inputs

import (
	"context"
	"testing"
	"time"

	"vgid/vgid/config"
	"vgid/vgid/run/barrier/barriertest"
	"vgid/vgid/run/fingerprint"
	"vgid/vgid/run/ledger"
	"vgid/vgid/run/rundir"
	"vgid/vgid/run/transfer"
	"vgid/vgid/vgidtest"
)

func TestMain(m *testing.M) { vgidtest.Main(m) }

// onRanks runs f on n ranks, with the inputs of a run; none may fail.
func onRanks(t *testing.T, n int, c config.Config, f func(ctx context.Context, in *Inputs) error) {
	t.Helper()
	barriertest.All(t, barriertest.Run(t, n, 20*time.Second, "", func(ctx context.Context, r barriertest.Rank) error {
		dir := rundir.New(c.Out, c.Name)
		files := fingerprint.New(r.Group, t.Logf)
		disks := transfer.NewDisks(r.Group, dir, "", config.Plain)
		in := New(Options{
			Config: c, Ranks: r.Group, Dir: dir, Files: files, Say: t.Logf,
			Transfer: transfer.New(r.Group, dir, files, disks, t.Logf),
			Stages:   ledger.New(c, &ledger.Progress{Spell: config.Plain}, r.Group, dir, files, disks, t.Logf),
		})
		defer in.Close()
		return f(ctx, in)
	}))
}
