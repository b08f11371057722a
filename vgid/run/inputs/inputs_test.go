package inputs

import (
	"context"
	"os"
	"path/filepath"
	"sync"
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

// smallWorld is made once for all tests; it has a folder of its own.
var smallWorld = sync.OnceValues(func() (w vgidtest.World, err error) {
	dir, err := os.MkdirTemp("", "vgid-test-")
	if err != nil {
		return w, err
	}
	return vgidtest.Make(dir)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if w, err := smallWorld(); err == nil {
		os.RemoveAll(filepath.Dir(w.Model))
	}
	os.Exit(code)
}

// small is the configuration of a run in the small world.
func small(t *testing.T, over map[string]string) config.Config {
	t.Helper()
	w, err := smallWorld()
	if err != nil {
		t.Fatal(err)
	}
	set := w.Settings(over)
	set["out"] = t.TempDir()
	c, err := config.Load("", set)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

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
