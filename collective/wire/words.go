package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"vgid/collective/frame"
)

// streamError is the end of a stream in words.
type streamError struct {
	words string
	err   error // with gRPC's code
}

func (e *streamError) Error() string { return e.words }
func (e *streamError) Unwrap() error { return e.err }

// plain takes gRPC's prefix from an error ("rpc error: code = Unavailable desc = "): who
// reads of a job that failed wants the reason alone, be it the transport's or the peer's.
func plain(err error) error {
	s, ok := status.FromError(err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), s.Code() == codes.Canceled: // whose text speaks of a context of gRPC's own
		return &streamError{"the stream ended", err}
	case !ok:
		return err
	}
	words, bad := strings.CutPrefix(s.Message(), unreadable)
	err = &streamError{words, err}
	if bad || s.Code() == codes.ResourceExhausted || s.Code() == codes.Unimplemented { // too long, or compressed
		err = &frame.BadFrameError{Err: err}
	}
	return err
}

// unreadable is what grpc-go puts before the words of our codec.
const unreadable = "grpc: failed to unmarshal the received message: "

// How far a call came that took too long.
const (
	wordsNobody     = "no rank answers there"
	wordsConnecting = "the connection is still being made"
	wordsConnected  = "connected, but the peer has not said who it is"
)

// cause is why a wait ended, with how far the call came, where that is not said by the cause.
func cause(ctx context.Context, came string) error {
	err := context.Cause(ctx)
	if final(err) {
		return err
	}
	return fmt.Errorf("%w: %s", err, came)
}

// stateWords say why a connection that was waited for is not there.
func stateWords(s connectivity.State) string {
	switch s {
	case connectivity.TransientFailure:
		return wordsNobody
	case connectivity.Connecting:
		return wordsConnecting
	case connectivity.Ready:
		return wordsConnected
	}
	return "no connection was made"
}
