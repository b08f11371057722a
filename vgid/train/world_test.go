package train

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"vgid/model"
	"vgid/model/cpu"
	"vgid/model/hf/modeldir"
	"vgid/vgid/config"
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

func small(t *testing.T, over map[string]string) config.Config {
	t.Helper()
	w, err := smallWorld()
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load("", w.Settings(over))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// opened loads the base model of a configuration, on a device of its own.
func opened(t *testing.T, c config.Config) (*model.Model, *Encoder) {
	t.Helper()
	be := cpu.New(1)
	t.Cleanup(func() { be.Close() })
	m, err := model.LoadAs(t.Context(), be, c.Model.Base, model.LoadOptions{Weights: c.Model.Weights})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	enc, err := NewEncoder(modeldir.Open(c.Model.Base), m, c.Prompt)
	if err != nil {
		t.Fatal(err)
	}
	return m, enc
}
