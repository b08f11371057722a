//go:build unix

package agent

import (
	"testing"
	"time"

	"vgid/launch/relay"
	"vgid/launch/view"
)

// Gossip calls a member dead once. One that answered, and dies before gossip
// sees it alive again, is still found.
func TestDoubtLasts(t *testing.T) {
	o := options(2, 1)
	v := view.View{Epoch: 1, Job: "j", Token: "t", Members: []view.Member{
		{ID: "a", Node: "n0", Nodes: 2, Addrs: []string{"h:1"}}, {ID: "b", Node: "n1", Nodes: 2, Addrs: []string{"h:2"}}}}
	a := &agent{o: &o, addrs: map[string]string{"b": "127.0.0.1:1"}, suspect: map[string]suspicion{}, self: v.Members[0], view: &v}
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	a.suspect["b"] = suspicion{since: start, pingedAt: at(1000)} // nothing is sent here
	over := func(s float64) bool { sus := a.suspect["b"]; return at(s).Sub(sus.since) > a.allowance(sus) }
	if over(2) || !over(3) || !a.unheard("b") {
		t.Error("a member whose machine takes no connection is given up between 2 and 3 s")
	}
	a.believe("b", at(2))
	if over(4) || !over(5) || a.unheard("b") {
		t.Error("the time begins anew with its word")
	}
	s := a.suspect["b"]
	s.reached = true
	a.suspect["b"] = s
	if over(6) || !over(8) {
		t.Error("one whose machine takes a connection has five seconds")
	}
	a.allow(time.Minute)
	if over(60) || !over(68) {
		t.Error("time in which this process stood still does not count")
	}
	a.believe("c", at(3)) // nobody doubts it
	if len(a.suspect) != 1 {
		t.Error("a word raises no doubt")
	}
}

// A member of the view that gossip never told of is missed as well.
func TestUnknownIsMissed(t *testing.T) {
	o := options(3, 1)
	v := three()
	start := time.Now()
	a := &agent{o: &o, addrs: map[string]string{"b": "127.0.0.1:1"}, suspect: map[string]suspicion{}, self: v.Members[0], view: &v, begunAt: start,
		led: newLedger(v, 0), mail: relay.New[report](0, 3), vm: view.New(view.Config{Job: "j", Self: v.Members[0], Token: "t"})}
	a.missUnknown(start.Add(4 * time.Second))
	if a.led.failed() {
		t.Error("given up too soon")
	}
	a.allow(10 * time.Second)
	a.missUnknown(start.Add(14 * time.Second))
	if a.led.failed() {
		t.Error("given up for time in which this process stood still")
	}
	a.missUnknown(start.Add(16 * time.Second))
	if _, lost := a.led.lost[2]; !lost || len(a.led.lost) != 1 {
		t.Errorf("lost %v, want node 2", a.led.lost)
	}
}
