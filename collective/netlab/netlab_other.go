//go:build !linux

package netlab

import (
	"errors"
	"net"
)

// node is nowhere but on Linux.
type node struct{}

func newNode(int, net.IP) (*node, error) {
	return nil, errors.New("networks of namespaces are of Linux; there is none on this system")
}

func (n *node) inside(f func() error) error { return f() }
func (n *node) close() error                { return nil }
func (l *Lab) connect()                     {}
