package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestPlain(t *testing.T) {
	other := errors.New("job differs")
	for _, c := range []struct {
		err  error
		want string
	}{
		{status.Error(codes.Unavailable, "error reading from server: EOF"), "error reading from server: EOF"},
		{status.Error(codes.AlreadyExists, "rank 1 is connected already"), "rank 1 is connected already"},
		{status.Error(codes.Canceled, "context canceled"), "the stream ended"},
		{io.EOF, "the stream ended"},
		{other, "job differs"},
	} {
		got := plain(c.err)
		if got.Error() != c.want {
			t.Errorf("%v became %q, want %q", c.err, got, c.want)
		}
		if !errors.Is(got, c.err) || status.Code(got) != status.Code(c.err) {
			t.Errorf("%q has lost what it was made of, or its code", got)
		}
	}
	if plain(nil) != nil {
		t.Error("no error became one")
	}
}

// TestNobodyAnswersInOneLine: logs and the launcher show a line of an error.
func TestNobodyAnswersInOneLine(t *testing.T) {
	var addrs [2]string
	var listeners [2]net.Listener
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addrs[i], listeners[i] = l.Addr().String(), l
	}
	if err := listeners[0].Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Connect(context.Background(), Config{Job: "j", Epoch: 1, Token: "t", Rank: 1, Peers: addrs[:], Listener: listeners[1], Timeout: 200 * time.Millisecond})
	if err == nil {
		t.Fatal("connected to nobody")
	}
	want := fmt.Sprintf("wire: rank 1 calls rank 0 at %s: not all ranks came within 200ms: ", addrs[0])
	if !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%q, want one line that begins with %q", err, want)
	}
}
