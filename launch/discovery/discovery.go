// Package discovery finds the other agents of a job and watches over them by
// gossip (hashicorp/memberlist). It only reports who is there, who seems gone
// and what they say; who has which rank is decided by launch/view.
//
// Messages between agents use memberlist's reliable (TCP) messages rather than
// a second protocol: one port to open, one place to encrypt, and the same
// reachability that the failure detector judges.
package discovery

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"

	"vgid/launch/option"
)

// Config of one agent.
type Config struct {
	ID       string // fresh for every incarnation; memberlist would take a restarted name for a conflict
	Job      string // agents of another job are refused
	BindAddr string // IP address
	Port     int    // TCP and UDP; 0 takes any free one
	// AdvertiseAddr is the IP address others reach this agent at; empty is BindAddr.
	AdvertiseAddr string
	// Meta announces this agent to the others, at most MaxMeta bytes.
	Meta []byte
	// Secret is shared by all agents: what they say is encrypted and
	// authenticated with a key derived from it, and others are not heard. Empty:
	// everything is in the clear, and everybody is heard.
	Secret []byte
	// Nodes is how many agents there will be; 0: few. Many of them look after
	// each other less often, for on one machine they would do nothing else.
	Nodes int
	// Log receives memberlist's own words; nil discards them.
	Log io.Writer
}

// MaxMeta is how long Config.Meta may be. Memberlist panics above 512 bytes
// and the job's name is put before it.
const MaxMeta = memberlist.MetaMaxSize - 1 - MaxJob

// MaxJob is how long the name of a job may be.
const MaxJob = 64

// MaxMessage bounds a received message; a view of a thousand ranks has 40 kB.
const MaxMessage = 1 << 20

// Event is something that happened to another agent.
type Event struct {
	Kind Kind
	ID   string
	Addr string // host:port of its agent
	Meta []byte // Up
	Msg  []byte // Said
}

// Kind of event.
type Kind int

// Kinds of events.
const (
	Up Kind = iota
	Down
	Said
)

// Node is a running membership. Close it.
type Node struct {
	cfg    Config
	ml     *memberlist.Memberlist
	events chan Event

	mu      sync.Mutex
	queue   []Event
	wake    chan struct{}
	refused error // why the latest stranger was turned away

	done chan struct{}
	wg   sync.WaitGroup
}

// Start binds the port and begins to listen.
func Start(cfg Config) (*Node, error) {
	if len(cfg.Job) > MaxJob || len(cfg.Meta) > MaxMeta {
		return nil, fmt.Errorf("announcement of %d bytes for job %q is too long (at most %d, and %d for the job); use fewer workers per node or shorter names",
			len(cfg.Meta), cfg.Job, MaxMeta, MaxJob)
	}
	n := &Node{cfg: cfg, events: make(chan Event), wake: make(chan struct{}, 1), done: make(chan struct{})}
	c := memberlist.DefaultLANConfig()
	c.Name = cfg.ID
	c.BindAddr = cfg.BindAddr
	// Always set: memberlist's own guess fails on hosts with public or IPv6 addresses only.
	c.AdvertiseAddr = cfg.AdvertiseAddr
	if c.AdvertiseAddr == "" {
		c.AdvertiseAddr = cfg.BindAddr
	}
	// Death is noticed in about a second instead of six, and a join reaches
	// everybody by push/pull when the gossip about it dies out early.
	slower := time.Duration(max(1, cfg.Nodes/16))
	c.ProbeInterval, c.ProbeTimeout = slower*200*time.Millisecond, slower*100*time.Millisecond
	c.SuspicionMult, c.SuspicionMaxTimeoutMult = 3, 2
	c.GossipInterval = 50 * time.Millisecond
	c.RetransmitMult = 4
	c.PushPullInterval = slower * time.Second
	c.TCPTimeout = 2 * time.Second
	c.EnableCompression = false // of short messages: it took nine tenths of the time
	c.Delegate, c.Events, c.Alive = n, n, n
	if len(cfg.Secret) > 0 {
		key, err := hkdf.Key(sha256.New, cfg.Secret, nil, "vgid agents", 32) // AES-256
		if err != nil {
			return nil, err
		}
		c.SecretKey = key
	}
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	c.Logger = log.New(cfg.Log, "", 0)
	t, err := listenOn(cfg.BindAddr, cfg.Port, cfg.Nodes, c.Logger)
	if err == nil {
		c.Transport, c.BindPort = t, t.GetAutoBindPort()
		c.AdvertisePort = c.BindPort
		n.ml, err = memberlist.Create(c)
		if err != nil {
			err = errors.Join(err, t.Shutdown())
		}
	}
	if err != nil {
		at := net.JoinHostPort(cfg.BindAddr, strconv.Itoa(cfg.Port))
		if errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), "address already in use") {
			return nil, option.Errorf("%v %d: %s is occupied; choose another %v, 0 takes any free one", option.Port, cfg.Port, at, option.Port)
		}
		return nil, option.Errorf("cannot listen on %s (%v, %v): %w", at, option.BindAddr, option.Port, err)
	}
	n.wg.Go(n.pump)
	return n, nil
}

// Addr is the host:port to join this agent at.
func (n *Node) Addr() string { return n.ml.LocalNode().Address() }

// Events delivers what happens, in order. It is never closed.
func (n *Node) Events() <-chan Event { return n.events }

// Send delivers a message to an agent, whose address an Up event told. It
// blocks for up to the TCP timeout; an error means that it did not arrive.
func (n *Node) Send(id, addr string, msg []byte) error {
	to, err := peer(id, addr)
	if err != nil {
		return err
	}
	return n.ml.SendReliable(to, n.signed(msg))
}

// Show sends a short message in a single packet, which may get lost. It does
// not block.
func (n *Node) Show(id, addr string, msg []byte) error {
	to, err := peer(id, addr)
	if err != nil {
		return err
	}
	return n.ml.SendBestEffort(to, n.signed(msg))
}

// peer is what memberlist wants to be given of an agent, for a message to it.
func peer(id, addr string) (*memberlist.Node, error) {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	return &memberlist.Node{Name: id, Addr: a.Addr().AsSlice(), Port: a.Port()}, nil
}

// signed puts the sender's name before a message.
// That is no proof of it: who may speak at all is decided by the secret.
func (n *Node) signed(msg []byte) []byte {
	b := append([]byte{byte(len(n.cfg.ID))}, n.cfg.ID...)
	return append(b, msg...)
}

// Leave says goodbye, so that the others do not have to find out. It waits
// until that is under way, and fails only when it cannot be sent.
func (n *Node) Leave() error { return n.ml.Leave(5 * time.Second) }

// Close stops. It returns when nothing runs any more.
func (n *Node) Close() error {
	err := n.ml.Shutdown()
	close(n.done)
	n.wg.Wait()
	return err
}

// post queues an event: memberlist calls the delegates on its packet path,
// where waiting would blind the failure detector.
func (n *Node) post(e Event) {
	n.mu.Lock()
	n.queue = append(n.queue, e)
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// pump hands events on, in their order, to whoever takes them.
func (n *Node) pump() {
	for {
		n.mu.Lock()
		q := n.queue
		n.queue = nil
		n.mu.Unlock()
		for _, e := range q {
			select {
			case n.events <- e:
			case <-n.done:
				return
			}
		}
		select {
		case <-n.wake:
		case <-n.done:
			return
		}
	}
}
