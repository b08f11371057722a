package inputs

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"vgid/model"
	"vgid/model/cpu"
	"vgid/model/hub/hubtest"
	"vgid/vgid/vgidtest"
)

// Workers fetch a model by its name, all the same, or all learn why not.
func TestModelOfHub(t *testing.T) {
	w := vgidtest.Shared(t, "llava")
	var calls atomic.Int32
	moving := false
	hubtest.Serve(t, w.Model, func() string {
		if n := calls.Add(1); moving {
			return fmt.Sprintf("%040d", n)
		}
		return fmt.Sprintf("%040d", 7)
	})
	c := vgidtest.Small(t, nil)
	var loaded atomic.Int32
	onRanks(t, 3, c, func(ctx context.Context, in *Inputs) error {
		dir, err := in.Model(ctx, "org/tiny")
		if err != nil {
			return err
		}
		if want := fmt.Sprintf("models--org--tiny/snapshots/%040d", 7); !strings.HasSuffix(dir, want) {
			return fmt.Errorf("folder %s, want …/%s", dir, want)
		}
		be := cpu.New(1)
		defer be.Close()
		m, err := model.LoadDir(ctx, be, in.Folder(dir), model.LoadOptions{})
		if err != nil {
			return err
		}
		loaded.Add(1)
		m.Close()
		return nil
	})
	if loaded.Load() != 3 {
		t.Errorf("%d workers loaded the model", loaded.Load())
	}
	refused := func(ref, want string) {
		t.Helper()
		onRanks(t, 3, c, func(ctx context.Context, in *Inputs) error {
			if dir, err := in.Model(ctx, ref); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("rank %d: folder %q, error %v, want one with %q", in.Ranks.Rank(), dir, err, want)
			}
			return nil
		})
	}
	refused("org/other", "org/other does not exist at http://127.0.0.1")
	moving = true
	refused("org/tiny", "model org/tiny changed on the hub meanwhile: rank 0 got commit")
}
