package job

import (
	"testing"
	"time"
)

// Gossip calls a member dead once. One that answered, and dies before gossip
// sees it alive again, is still found.
func TestDoubtLasts(t *testing.T) {
	start := time.Unix(100, 0)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	d := doubts{of: map[string]suspicion{}}
	d.raise("b", start)
	over := func(s float64) bool { ids, _ := d.overdue(at(s)); return len(ids) == 1 }
	if over(2) || !over(3) || !d.silent("b") {
		t.Error("a member whose machine takes no connection is given up between 2 and 3 s")
	}
	d.answered("b", at(2))
	d.raise("b", at(2.5)) // is no new doubt
	if over(4) || !over(5) || d.silent("b") {
		t.Error("the time begins anew with its word")
	}
	d.reached("b")
	if over(6) || !over(8) {
		t.Error("one whose machine takes a connection has five seconds")
	}
	if ids := d.ask(at(2.1)); len(ids) != 1 || len(d.ask(at(2.4))) != 0 || len(d.ask(at(2.7))) != 1 {
		t.Errorf("asked %v; it is asked every half second", ids)
	}
	d.allow(time.Minute)
	if over(60) || !over(68) {
		t.Error("time in which this process stood still does not count")
	}
	d.answered("c", at(3))
	d.reached("c") // nobody doubts it
	if len(d.of) != 1 {
		t.Error("a word raises no doubt")
	}
	d.watched = true
	if over(120) || !over(123) {
		t.Error("where the launcher watches over the agents they have a minute")
	}
	d.drop("b")
	if over(1000) || d.silent("b") {
		t.Error("gossip sees it alive, and it is doubted on")
	}
}
