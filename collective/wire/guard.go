package wire

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
)

// guard proves on both ends of a new connection that they know the token of
// the job, before gRPC reads a byte and without the token crossing the wire.
//
//	caller    mark, nonce
//	listener  nonce, HMAC-SHA256(token, "listener", both nonces)
//	caller    HMAC-SHA256(token, "caller", both nonces)
//
// It authenticates the ends when they meet; what they send afterwards is
// neither encrypted nor protected against somebody who sits between them.
type guard struct {
	token []byte
	// refused is told that the other end does not know the token. For a caller
	// it is useless to ask again.
	refused func(error)
}

const (
	mark      = "vgid\x00\x00\x00\x02" // ends with the version of this exchange
	nonceSize = 32
	// proveWithin bounds what happens on a connection before it is proven.
	proveWithin = 2 * time.Second
)

// errToken is the same at both ends.
var errToken = errors.New("token of the job is wrong")

// proof shows that this end knows the token. Both nonces are in it, so that it
// is worth nothing in another conversation, and the end's name, so that a caller
// cannot send a listener's proof back to it.
func (g guard) proof(end string, caller, listener []byte) []byte {
	m := hmac.New(sha256.New, g.token)
	m.Write([]byte(end))
	m.Write(caller)
	m.Write(listener)
	return m.Sum(nil)
}

// call is the caller's part.
func (g guard) call(c io.ReadWriter) error {
	mine := make([]byte, nonceSize)
	rand.Read(mine) // never fails
	if _, err := c.Write(append([]byte(mark), mine...)); err != nil {
		return err
	}
	answer := make([]byte, nonceSize+sha256.Size)
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	theirs, shown := answer[:nonceSize], answer[nonceSize:]
	if !hmac.Equal(shown, g.proof("listener", mine, theirs)) {
		return errToken
	}
	_, err := c.Write(g.proof("caller", mine, theirs))
	return err
}

// answer is the listener's part.
func (g guard) answer(c io.ReadWriter) error {
	hello := make([]byte, len(mark)+nonceSize)
	// Who begins otherwise is refused by its first bytes.
	if _, err := io.ReadFull(c, hello[:len(mark)]); err != nil {
		return err
	}
	if string(hello[:len(mark)]) != mark {
		return errors.New("the caller is not a rank of this version")
	}
	if _, err := io.ReadFull(c, hello[len(mark):]); err != nil {
		return err
	}
	theirs, mine := hello[len(mark):], make([]byte, nonceSize)
	rand.Read(mine)
	if _, err := c.Write(append(mine, g.proof("listener", theirs, mine)...)); err != nil {
		return err
	}
	shown := make([]byte, sha256.Size)
	if _, err := io.ReadFull(c, shown); err != nil {
		// A caller that knows another token has left.
		return fmt.Errorf("%w, or the caller left (%w)", errToken, err)
	}
	if !hmac.Equal(shown, g.proof("caller", theirs, mine)) {
		return errToken
	}
	return nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (g guard) ClientHandshake(ctx context.Context, _ string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	probeOften(c)
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return nil, nil, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) }) // wakes the reads
	err := g.call(c)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		c.Close()
		if errors.Is(err, errToken) {
			g.refused(err)
		}
		return nil, nil, err
	}
	return c, proven{}, nil
}

// ServerHandshake implements credentials.TransportCredentials; the server has
// set the deadline.
func (g guard) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	probeOften(c)
	if err := g.answer(c); err != nil {
		c.Close()
		if errors.Is(err, errToken) {
			g.refused(err)
		}
		return nil, nil, err
	}
	if p, ok := c.(*pending); ok {
		p.gate.release(p)
	}
	return c, proven{}, nil
}

// Info implements credentials.TransportCredentials.
func (guard) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "vgid-token"}
}

// Clone implements credentials.TransportCredentials.
func (g guard) Clone() credentials.TransportCredentials { return g }

// OverrideServerName implements credentials.TransportCredentials.
func (guard) OverrideServerName(string) error { return nil }

// proven says of a connection that its ends know the token.
type proven struct{ credentials.CommonAuthInfo }

// AuthType implements credentials.AuthInfo.
func (proven) AuthType() string { return "vgid-token" }
