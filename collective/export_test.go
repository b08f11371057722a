package collective

// PretendCall has a rank make a call that needs no other rank: a kind of call
// whose schedule leaves this rank out. other makes it one that differs.
func PretendCall(c *Comm, other bool) error {
	h := Header{Call: CallBroadcast, Count: 3}
	if other {
		h.Count = 4
	}
	h = c.exchange.begin(h)
	err := c.watch.Announce(c.progress, &h)
	c.progress.Leave()
	if err != nil {
		return c.failure.InWordsOf(h.Call, h.Seq)
	}
	return nil
}

// Number is the number of a communicator, which its lanes are made of.
func Number(c *Comm) uint32 { return c.opt.Comm }

// NoteCall keeps a call in the flight recorder as if it had just ended; the first
// one begins it.
func NoteCall(c *Comm) {
	c.progress.Begin()
	if c.progress.Running() == nil {
		h := c.exchange.begin(Header{Call: CallBarrier})
		_ = c.watch.Announce(c.progress, &h)
	}
	before := counts{c.exchange.sent.Load(), c.exchange.received.Load()}
	c.note(before, c.progress.Entered())
}
