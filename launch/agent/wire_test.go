package agent

import (
	"strings"
	"testing"
	"time"

	"vgid/launch/job"
	"vgid/launch/relay"
	"vgid/launch/view"
)

func FuzzDecode(f *testing.F) {
	f.Add(encode(job.Message{Ping: true}))
	f.Add(encode(job.Message{View: &view.Message{Kind: view.Ack, Epoch: 1}}))
	f.Add(encode(job.Message{Relay: &relay.Message[job.Report]{Have: []uint64{1, 0}, News: []relay.Item[job.Report]{{Node: 0, Seq: 1, Report: job.Report{Exits: []job.Exit{{Rank: 1}}}}}}}))
	v := view.View{Epoch: 1, Job: "j", Token: "t", Members: []view.Member{
		{ID: "a", Node: "n0", Nodes: 2, Addrs: []string{"h:1", "h:2"}},
		{ID: "b", Node: "n1", Nodes: 2, Addrs: []string{"h:3", "h:4"}}}}
	f.Add(encode(job.Message{View: &view.Message{Kind: view.Propose, View: &v}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil {
			return
		}
		if _, err := decode(encode(m)); err != nil {
			t.Errorf("accepted, but not its own writing: %v", err)
		}
		// Nothing that can be read makes an agent panic, before the view is agreed
		// on or after.
		now := time.Unix(100, 0)
		k := job.New(job.Config{Job: "j", Self: v.Members[1], Token: "t"})
		k.Up(v.Members[0], "h:9", now)
		k.Receive("a", m, now)
		k.Receive("a", job.Message{View: &view.Message{Kind: view.Propose, Epoch: 1, View: &v}}, now)
		k.Receive("a", job.Message{View: &view.Message{Kind: view.Commit, Epoch: 1, Digest: v.Digest()}}, now)
		k.Receive("a", m, now)
		k.Tick(now.Add(time.Second))
		k.Outcome()
	})
}

func TestAnnouncement(t *testing.T) {
	m := view.Member{ID: "j/n/x", Node: strings.Repeat("n", maxNode), Index: 1023, Nodes: 1024}
	for p := range 32 {
		m.Addrs = append(m.Addrs, "[fe80:1111:2222:3333:4444:5555:6666:7777]:"+string(rune('1'+p%5))+"0000")
	}
	b, err := announce(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := announced(m.ID, b)
	if err != nil || len(got.Addrs) != 32 || got.Addrs[31] != m.Addrs[31] || got.Node != m.Node || got.Nodes != 1024 {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "{}", `{"n":"a b","h":"1.2.3.4","p":[1]}`, `{"n":"a","h":"host","p":[1]}`, `{"n":"a","h":"1.2.3.4","p":[70000]}`} {
		if _, err := announced("x", []byte(bad)); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}
