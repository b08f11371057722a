package wire

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc/credentials"

	"vgid/collective/mtls"
)

// guard proves on both ends of a new connection that they know the token of
// the job, before gRPC reads a byte and without the token crossing the wire.
//
//	caller    mark, hello
//	listener  hello, HMAC-SHA256(token, "listener", both hellos)
//	caller    HMAC-SHA256(token, "caller", both hellos)
//
// A hello is a byte that says whether its end has TLS, and a nonce. Where both have, TLS
// follows (secure.go); where one has, both ends know whom to believe it and what to say.
// So nobody who does not know the token comes as far as TLS, nor can make it be left out.
//
// Without TLS it authenticates the ends when they meet; what they send afterwards is
// neither encrypted nor protected against somebody who sits between them.
type guard struct {
	token []byte
	tls   *mtls.Identity // nil: plain text
	// suits says what is wrong with the certificate of the peer that is called.
	suits func(*x509.Certificate) error
	// refused is told that the other end does not know the token. For a caller
	// it is useless to ask again.
	refused func(error)
	// differs is told why a peer that knows the token and this end cannot meet.
	differs func(error)
}

const (
	mark      = "vgid\x00\x00\x00\x03" // ends with the version of this exchange
	nonceSize = 32
	helloSize = 1 + nonceSize
	// proveWithin bounds what happens on a connection before it is proven.
	proveWithin = 2 * time.Second

	offersPlain = 0
	offersTLS   = 1
)

// errToken is the same at both ends.
var errToken = errors.New("token of the job is wrong")

// These are about two ends that both know the token, so that both may act upon them.
var (
	errOnlyHere  = errors.New("this rank has TLS and the other has none: give all ranks certificates, or none")
	errOnlyThere = errors.New("the other rank has TLS and this one has none: give all ranks certificates, or none")
)

// final reports whether it is of no use to call again.
func final(err error) bool {
	var refusal *mtls.Refusal
	return errors.Is(err, errToken) || errors.Is(err, errOnlyHere) || errors.Is(err, errOnlyThere) || errors.As(err, &refusal)
}

// proof shows that this end knows the token. What it is about are both hellos, so that it
// is worth nothing in another conversation; the end's name is in it, so that a caller
// cannot send a listener's proof back to it.
func (g guard) proof(end string, about ...[]byte) []byte {
	m := hmac.New(sha256.New, g.token)
	m.Write([]byte(end))
	for _, b := range about {
		m.Write(b)
	}
	return m.Sum(nil)
}

// hello is what this end says of itself.
func (g guard) hello() []byte {
	b := make([]byte, helloSize)
	if b[0] = offersPlain; g.tls != nil {
		b[0] = offersTLS
	}
	rand.Read(b[1:]) // never fails
	return b
}

// agree compares what the two ends offer.
func (g guard) agree(theirs byte) error {
	switch {
	case g.tls != nil && theirs != offersTLS:
		return errOnlyHere
	case g.tls == nil && theirs != offersPlain:
		return errOnlyThere
	}
	return nil
}

// call is the caller's part.
func (g guard) call(c io.ReadWriter) error {
	mine := g.hello()
	if _, err := c.Write(append([]byte(mark), mine...)); err != nil {
		return err
	}
	answer := make([]byte, helloSize+sha256.Size)
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	theirs, shown := answer[:helloSize], answer[helloSize:]
	if !hmac.Equal(shown, g.proof("listener", mine, theirs)) {
		return errToken
	}
	// Also where the two cannot meet: the listener is to know that from a rank.
	if _, err := c.Write(g.proof("caller", mine, theirs)); err != nil {
		return err
	}
	return g.agree(theirs[0])
}

// answer is the listener's part.
func (g guard) answer(c io.ReadWriter) error {
	said := make([]byte, len(mark)+helloSize)
	// Who begins otherwise is refused by its first bytes.
	if _, err := io.ReadFull(c, said[:len(mark)]); err != nil {
		return err
	}
	if string(said[:len(mark)]) != mark {
		return errors.New("the caller is not a rank of this version")
	}
	if _, err := io.ReadFull(c, said[len(mark):]); err != nil {
		return err
	}
	theirs, mine := said[len(mark):], g.hello()
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
	return g.agree(theirs[0])
}

// ClientHandshake implements credentials.TransportCredentials.
func (g guard) ClientHandshake(ctx context.Context, _ string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	tune(c)
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return nil, nil, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) }) // wakes the reads
	conn, shown, err := c, proven{}, g.call(c)
	if err == nil && g.tls != nil {
		conn, shown.certificate, err = g.secure(ctx, c, true)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		c.Close()
		g.tell(err)
		return nil, nil, err
	}
	return conn, shown, nil
}

// ServerHandshake implements credentials.TransportCredentials; the server has
// set the deadline.
func (g guard) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	tune(c)
	conn, shown, err := c, proven{}, g.answer(c)
	if err == nil && g.tls != nil {
		conn, shown.certificate, err = g.secure(context.Background(), c, false) // the deadline ends it
	}
	if err != nil {
		c.Close()
		g.tell(err)
		return nil, nil, err
	}
	if p, ok := c.(*pending); ok {
		p.gate.release(p)
	}
	return conn, shown, nil
}

// tell passes on what is of interest beyond this connection.
func (g guard) tell(err error) {
	switch {
	case errors.Is(err, errToken):
		g.refused(err)
	case final(err):
		g.differs(err)
	}
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
type proven struct {
	credentials.CommonAuthInfo
	certificate *x509.Certificate // of the peer; nil without TLS
}

// AuthType implements credentials.AuthInfo.
func (proven) AuthType() string { return "vgid-token" }
