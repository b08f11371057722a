//go:build !linux

package wire

import "net"

// tune has no counterpart outside Linux.
func tune(net.Conn) {}
