package model

import (
	"context"
	"errors"
	"fmt"
)

// NotFiniteError says that the model's logits for a prompt are NaN or infinite:
// an answer or a score made of them would look like one of a model that knows
// nothing.
type NotFiniteError struct {
	Prompt int    // index among the prompts of the call
	Cause  string // what WhyNotFinite found
}

// Error leaves out the prompt, which callers know by a better name.
func (e *NotFiniteError) Error() string { return e.Cause }

// notFinite is the error for the logits of a prompt.
func (m *Model) notFinite(ctx context.Context, prompt int) error {
	why, err := m.WhyNotFinite(ctx, false)
	if err != nil {
		return err
	}
	return &NotFiniteError{prompt, why}
}

// numbered is an error of a call with several prompts that names the prompt.
func numbered(err error) error {
	var nf *NotFiniteError
	if errors.As(err, &nf) {
		return fmt.Errorf("prompt %d: %w", nf.Prompt, err)
	}
	return err
}
