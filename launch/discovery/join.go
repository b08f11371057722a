package discovery

import (
	"context"
	"errors"
	"strings"
	"time"

	"vgid/launch/option"
)

// Join asks the agents at these addresses for the others, until one answers
// or ctx ends. waiting, if not nil, is called once with the first failure.
func (n *Node) Join(ctx context.Context, addrs []string, waiting func(error)) error {
	for first := true; ; first = false {
		n.refuse(nil) // strangers that came by earlier do not matter
		k, err := n.ml.Join(addrs)
		if r := n.refusal(); r != nil && n.ml.NumMembers() == 1 {
			return r
		}
		if k > 0 {
			return nil
		}
		if otherSecret(err) {
			return option.Errorf("the agent at %s (%v) has another secret than this one, or none; give all nodes the same %v", strings.Join(addrs, ", "), option.Join, option.SecretFile)
		}
		err = option.Errorf("no agent answers at %s (%v): %s", strings.Join(addrs, ", "), option.Join, oneLine(err))
		if first && waiting != nil {
			waiting(err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (n *Node) refuse(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refused = err
}

func (n *Node) refusal() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.refused
}

// otherSecret knows by memberlist's words that an agent has another key.
func otherSecret(err error) bool {
	if err == nil {
		return false
	}
	for _, words := range []string{"encryption is not configured", "remote state is not encrypted", "no installed keys could decrypt"} {
		if strings.Contains(strings.ToLower(err.Error()), words) {
			return true
		}
	}
	return false
}

// oneLine undoes the list layout of memberlist's errors.
func oneLine(err error) string {
	if err == nil {
		return "the name has no address"
	}
	var list interface{ WrappedErrors() []error }
	if !errors.As(err, &list) {
		return err.Error()
	}
	var all []string
	for _, e := range list.WrappedErrors() {
		all = append(all, e.Error())
	}
	return strings.Join(all, "; ")
}
