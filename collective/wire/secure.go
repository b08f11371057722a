package wire

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"vgid/collective/mtls"
)

// errBetween is for who has the token of the job and a certificate of its CA, but
// is not in the conversation in which the other end is.
var errBetween = &mtls.Refusal{Err: errors.New("the two ends of the connection do not have the same TLS channel: somebody sits between them")}

// bindingLabel is of keys that both ends of a TLS channel have and nobody else (RFC 8446,
// 7.5). It begins as labels do that are not registered (RFC 5705, 4).
const bindingLabel = "EXPERIMENTAL vgid token"

// secure puts TLS on a connection whose ends have proven that they know the token. Within,
// they prove it again, now of this very channel:
//
//	caller    HMAC-SHA256(token, "caller within", key)
//	listener  HMAC-SHA256(token, "listener within", key)
//
// with a key that the channel gives. So who has a certificate that is accepted, of another
// job of the same CA, say, cannot pass on what the two prove to each other.
func (g guard) secure(ctx context.Context, c net.Conn, caller bool) (net.Conn, *x509.Certificate, error) {
	s := g.tlsOver(c, caller)
	err := s.HandshakeContext(ctx) // within the deadline of c
	if err == nil {
		err = g.bind(s, caller)
	}
	if err != nil {
		if !caller {
			linger(c)
		}
		return nil, nil, mtls.Explain(err)
	}
	shown := s.ConnectionState().PeerCertificates[0]
	if caller {
		if err := g.suits(shown); err != nil {
			return nil, nil, err
		}
	}
	return s, shown, nil
}

// tlsOver puts TLS on a connection, of which nothing has been exchanged yet.
func (g guard) tlsOver(c net.Conn, caller bool) *secured {
	b := &bulk{Conn: c}
	if caller {
		return &secured{tls.Client(b, g.tls.Client()), b}
	}
	return &secured{tls.Server(b, g.tls.Server()), b}
}

// bind proves the token of the channel.
func (g guard) bind(s *secured, caller bool) error {
	state := s.ConnectionState()
	key, err := state.ExportKeyingMaterial(bindingLabel, nil, sha256.Size)
	if err != nil {
		return err
	}
	mine, theirs := g.proof("listener within", key), g.proof("caller within", key)
	if caller {
		mine, theirs = theirs, mine
		if _, err := s.Write(mine); err != nil {
			return err
		}
	}
	shown := make([]byte, sha256.Size)
	if _, err := io.ReadFull(s, shown); err != nil {
		return fmt.Errorf("the other end does not prove that it is in this TLS channel: %w", err)
	}
	if !hmac.Equal(shown, theirs) {
		return errBetween
	}
	if !caller {
		_, err = s.Write(mine)
	}
	return err
}

// linger reads what the peer has sent until it has read that it is refused, and leaves: a
// socket that is closed over bytes which nobody read takes back what it sent.
func linger(c net.Conn) {
	if p, ok := c.(*pending); ok {
		c = p.Conn
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, c, 16<<10) // within the deadline of c
	}
}

// secured is a TLS connection whose end does not wait for the peer: package tls says goodbye
// first, for which it may wait five seconds where the peer takes nothing.
type secured struct {
	*tls.Conn
	below *bulk
}

// Write sends all records of p with few system calls.
func (s *secured) Write(p []byte) (int, error) {
	s.below.hold()
	n, err := s.Conn.Write(p)
	if lost := s.below.release(); err == nil {
		err = lost
	}
	return n, err
}

// partWithin is how long the goodbye may take.
const partWithin = 100 * time.Millisecond

func (s *secured) CloseWrite() error {
	defer time.AfterFunc(partWithin, func() { s.below.Close() }).Stop()
	return s.Conn.CloseWrite()
}

func (s *secured) Close() error {
	defer time.AfterFunc(partWithin, func() { s.below.Close() }).Stop()
	return s.Conn.Close()
}
