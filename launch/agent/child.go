//go:build unix

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"vgid/launch/job"
)

// envChild marks a process that RunLocal started as an agent.
const envChild = "VGID_LAUNCH_AGENT"

// Descriptors of an agent that RunLocal started.
const (
	childIn  = 3 // lines of order
	childOut = 4 // lines of answer
)

// order tells a child agent what to do; the end of the stream tells it that
// its launcher has ended.
type order struct {
	Options *Options `json:"options,omitempty"`
	Join    []string `json:"join,omitempty"`
	Signal  int      `json:"signal,omitempty"`
}

// answer tells the launcher how a child agent is doing.
type answer struct {
	Addr        string       `json:"addr,omitempty"`
	Outcome     *job.Outcome `json:"outcome,omitempty"`
	Err         string       `json:"err,omitempty"`
	Interrupted int          `json:"interrupted,omitempty"` // with Err: it was told to stop
}

// Child runs this process as an agent if RunLocal started it as one, and
// reports whether that was so; then the program has to end. Of surroundings it
// takes the outputs and Say. An error that the launcher will tell travels as
// text: spell makes it.
func Child(surroundings IO, spell func(error) string) bool {
	if os.Getenv(envChild) == "" {
		return false
	}
	os.Unsetenv(envChild)
	// Schedulers signal every process they find. This one takes its orders from
	// the launcher, which hears the same and whose end closes the pipe.
	surviveSilently(Signals()...)
	SurvivePipe()
	syscall.CloseOnExec(childIn)
	syscall.CloseOnExec(childOut)
	in, out := os.NewFile(childIn, "orders"), os.NewFile(childOut, "answers")
	defer out.Close()
	tell := func(a answer) { _ = json.NewEncoder(out).Encode(a) } // a launcher that has ended needs none
	orders := json.NewDecoder(in)
	var first order
	err := orders.Decode(&first)
	if err == nil && first.Options == nil {
		err = errors.New("the first order has none")
	}
	if err != nil {
		tell(answer{Err: fmt.Sprintf("the agent cannot read its options from the launcher: %v", err)})
		return true
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals, join := make(chan syscall.Signal), make(chan []string)
	surroundings.Signals, surroundings.join = signals, join
	surroundings.listening = func(addr string) { tell(answer{Addr: addr}) }
	// Ends with the process: nothing else can wake a read of the pipe.
	go func() {
		err := obey(ctx, orders, signals, join)
		// The launcher has ended. End as if asked to, then for good.
		if !errors.Is(err, io.EOF) && surroundings.Say != nil {
			surroundings.Say(fmt.Errorf("the launcher's orders cannot be read, so this node ends: %w", err))
		}
		offer(ctx, signals, syscall.SIGTERM)
		select {
		case <-time.After(first.Options.Grace):
		case <-ctx.Done():
		}
		cancel(errors.New("the launcher has ended"))
	}()
	res, err := Run(ctx, *first.Options, surroundings)
	if err == nil {
		tell(answer{Outcome: &res})
		return true
	}
	a := answer{Err: spell(err)}
	var interrupted job.InterruptedError
	if errors.As(err, &interrupted) {
		a.Interrupted = int(interrupted.Signal)
	}
	tell(a)
	return true
}

// obey passes orders on until there are no more, and returns why.
func obey(ctx context.Context, orders *json.Decoder, signals chan<- syscall.Signal, join chan<- []string) error {
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			return err
		}
		if o.Join != nil {
			offer(ctx, join, o.Join)
		}
		if o.Signal != 0 {
			offer(ctx, signals, syscall.Signal(o.Signal))
		}
	}
}

// offer hands a value over, or gives up when the job has ended and nobody takes
// it any more.
func offer[T any](ctx context.Context, c chan<- T, v T) {
	select {
	case c <- v:
	case <-ctx.Done():
	}
}
