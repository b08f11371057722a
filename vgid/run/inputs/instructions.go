package inputs

import (
	"context"
	"path/filepath"

	"vgid/vgid/origin"
	"vgid/vgid/people"
)

// Instructions are templates of instructions, and the file they were read from.
type Instructions struct {
	Texts []string
	Files origin.List
}

// Instructions reads the configured templates of instructions, once. All ranks call
// it.
func (in *Inputs) Instructions(ctx context.Context) (*Instructions, error) {
	if in.templates != nil {
		return in.templates, nil
	}
	c := in.Config.Unlearn.Instruction
	if c.File == "" {
		in.templates = &Instructions{Texts: limit(people.DefaultInstructions(), c.Take)}
		return in.templates, nil
	}
	var t Instructions
	var err error
	t.Files, err = in.Files.Agree(ctx, func() ([]origin.Source, error) {
		s := origin.Source{For: "instructions", Name: filepath.Base(c.File), Path: c.File}
		_, s.ID, _ = origin.Stat(c.File) // who reads it says what is wrong
		// The ID is taken before the file is read: one that is written to meanwhile has
		// another when it is fingerprinted.
		all, err := people.LoadInstructions(c.File)
		t.Texts = limit(all, c.Take)
		return []origin.Source{s}, err
	})
	if err != nil {
		return nil, err
	}
	in.templates = &t
	return in.templates, nil
}

// limit is the first n of s, all where n is 0.
func limit[T any](s []T, n int) []T {
	if n > 0 && n < len(s) {
		return s[:n]
	}
	return s
}
