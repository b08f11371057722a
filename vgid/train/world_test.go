package train

import (
	"testing"

	"vgid/model"
	"vgid/model/cpu"
	"vgid/model/hf/modeldir"
	"vgid/vgid/config"
	"vgid/vgid/vgidtest"
)

func TestMain(m *testing.M) { vgidtest.Main(m) }

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
