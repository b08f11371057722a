package model

import "vgid/model/backend"

// Random is New with matrices kept as o says and the values drawn by the
// device, for measurements of models that have no files. In float32 the values
// are New's but for the device's rounding.
func Random(be backend.Backend, c *Config, seed uint64, o LoadOptions) (*Model, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	m, err := assemble(be, c)
	if err != nil {
		return nil, err
	}
	rows := 1
	for _, w := range m.weights {
		if rows = max(rows, w.Value.Rows); w.Decay {
			w.stored = o.stored("")
		}
	}
	need, _ := memory(m.weights)
	if err = m.affordable(need, ""); err == nil {
		if err = m.place(m.weights); err == nil {
			err = m.draw(seed, rows)
		}
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// draw fills all weights, of at most that many rows.
func (m *Model) draw(seed uint64, rows int) error {
	buf, err := m.be.Alloc(backend.I32, rows)
	if err != nil {
		return err
	}
	defer m.be.Free(buf)
	numbers := make([]int32, rows)
	for i := range numbers {
		numbers[i] = int32(i)
	}
	m.be.UploadInts(backend.View(buf, 0, rows, 1), numbers)
	for _, w := range m.weights {
		if w.Std == 0 {
			m.be.Fill(w.Value, w.Fill)
			continue
		}
		m.be.Random(w.Value, backend.Normal, w.key(seed), backend.View(buf, 0, w.Value.Rows, 1))
		m.be.Scale(w.Value, float32(w.Std))
	}
	return m.be.Sync()
}
