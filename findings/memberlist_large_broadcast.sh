#!/usr/bin/env bash
# hashicorp/memberlist v0.7.0: a broadcast that does not fit into one packet is never sent, and nobody is told.
#
# TransmitLimitedQueue takes a message of any size. When gossip goes out, messages that do not fit into what is left of
# UDPBufferSize (1400 bytes by default) are passed over, and one that is larger than a whole packet is passed over
# every time: it stays in the queue for good, Finished is never called, and nothing is logged. One would expect an
# error from QueueBroadcast, or a larger datagram: SendBestEffort on the same nodes delivers 1500 and 9000 bytes, and
# SendReliable any size. Compression does not help, since it comes after the choice.
# A message that names ranks, devices or files of a job grows with the number of nodes, so a protocol that was tried on four
# nodes goes quiet on forty; code that waits for Finished waits for ever, and every such message keeps its memory.
#
# Seen: of 1300 and 1500 bytes the first arrives and is finished; the second is still queued after all gossip of 3
# seconds, while messages queued behind it arrive. Exit status 0 while this is so, 1 when it has changed. Needs Go.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
cat > go.mod <<'MOD'
module finding

go 1.24

require github.com/hashicorp/memberlist v0.7.0
MOD
cat > main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// delegate counts the bytes of each message that arrives.
type delegate struct {
	queue *memberlist.TransmitLimitedQueue
	mu    sync.Mutex
	seen  map[int]bool
}

func (d *delegate) NodeMeta(int) []byte { return nil }

func (d *delegate) NotifyMsg(b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[len(b)] = true
}

func (d *delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.queue.GetBroadcasts(overhead, limit)
}

func (d *delegate) LocalState(bool) []byte        { return nil }
func (d *delegate) MergeRemoteState([]byte, bool) {}

func (d *delegate) arrived(size int, within time.Duration) bool {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		d.mu.Lock()
		seen := d.seen[size]
		d.mu.Unlock()
		if seen {
			return true
		}
	}
	return false
}

type broadcast struct {
	text     []byte
	finished atomic.Bool
}

func (b *broadcast) Invalidates(memberlist.Broadcast) bool { return false }
func (b *broadcast) Message() []byte                       { return b.text }
func (b *broadcast) Finished()                             { b.finished.Store(true) }

func node(name string) (*memberlist.Memberlist, *delegate) {
	d := &delegate{seen: map[int]bool{}, queue: &memberlist.TransmitLimitedQueue{NumNodes: func() int { return 2 }, RetransmitMult: 1}}
	c := memberlist.DefaultLocalConfig()
	c.Name, c.BindAddr, c.BindPort, c.LogOutput, c.Delegate = name, "127.0.0.1", 0, io.Discard, d
	m, err := memberlist.Create(c)
	if err != nil {
		panic(err)
	}
	return m, d
}

func main() {
	a, from := node("a")
	defer a.Shutdown()
	b, to := node("b")
	defer b.Shutdown()
	if _, err := a.Join([]string{b.LocalNode().Address()}); err != nil {
		panic(err)
	}
	text := func(size int) []byte { return []byte(strings.Repeat("x", size)) }

	large := &broadcast{text: text(1500)}
	from.queue.QueueBroadcast(large)
	small := &broadcast{text: text(1300)}
	from.queue.QueueBroadcast(small)
	smallArrived := to.arrived(1300, 30*time.Second)
	largeArrived := to.arrived(1500, 3*time.Second)
	fmt.Printf("broadcast of 1300 bytes: arrived %v, finished %v\n", smallArrived, small.finished.Load())
	fmt.Printf("broadcast of 1500 bytes: arrived %v, finished %v, still queued %d\n", largeArrived, large.finished.Load(), from.queue.NumQueued())
	if err := a.SendBestEffort(b.LocalNode(), text(1500)); err != nil {
		panic(err)
	}
	direct := to.arrived(1500, 30*time.Second)
	fmt.Printf("the same bytes with SendBestEffort: arrived %v\n", direct)
	if !smallArrived || !small.finished.Load() || largeArrived || large.finished.Load() || from.queue.NumQueued() != 1 || !direct {
		os.Exit(1)
	}
	fmt.Println("as stated")
}
GO
go mod tidy > /dev/null 2>&1
go run .
