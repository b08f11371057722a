package params

// Clone gives n, the set of another declaration of the same config on the same
// device, the values of s without its adapter. What is still the mapped file is
// shared, the rest is copied.
func (s *Set) Clone(n *Set) error {
	if s.source != nil {
		n.source = &source{s.source.dir, s.source.files.Share(), s.source.mapFrom}
	}
	byName := map[string]*Weight{}
	for _, w := range s.Weights {
		byName[w.Name] = w
	}
	var copied []*Weight
	for g := range groups(n.Weights) {
		// What was adopted in one piece is adopted so again, if the clone groups its weights alike.
		var shared []*Weight
		for _, w := range g {
			o := byName[w.Name]
			w.file, w.stored, w.pristine = o.file, o.Untrained().Buf.DType(), o.pristine
			if o.mapped {
				shared = append(shared, w)
			} else {
				copied = append(copied, w)
			}
		}
		copied = append(copied, n.source.adopt(&n.mem, shared)...)
	}
	need, _ := bytesOf(copied)
	if err := n.mem.preflight(need, ""); err != nil {
		return err
	}
	if err := n.mem.place(copied); err != nil {
		return err
	}
	for _, w := range copied {
		s.be.Copy(w.Value, byName[w.Name].Untrained())
	}
	return s.be.Sync()
}
