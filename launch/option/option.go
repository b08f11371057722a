// Package option lets a library speak of settings in its errors without
// knowing how they are spelled: one program takes them as flags, another from a
// file. A library names a setting by a Name, and makes errors that speak of
// some by Errorf; a program puts its own spelling in by Spell.
package option

import (
	"errors"
	"fmt"
	"strings"
)

// Name is a setting, in words that are clear without the program at hand.
type Name string

// The settings of a launch.
const (
	Nodes           Name = "number of nodes"
	Procs           Name = "workers per node"
	Job             Name = "job"
	NodeName        Name = "node name"
	Join            Name = "addresses to join"
	BindAddr        Name = "bind address"
	AdvertiseAddr   Name = "advertised address"
	Port            Name = "port"
	InsecureNetwork Name = "insecure network"
	SecretFile      Name = "secret file"
	Timeout         Name = "timeout"
	Grace           Name = "grace"
	LogDir          Name = "log folder"
)

// All lists the settings, for a program to see that it can spell each.
func All() []Name {
	return []Name{Nodes, Procs, Job, NodeName, Join, BindAddr, AdvertiseAddr, Port, InsecureNetwork, SecretFile, Timeout, Grace, LogDir}
}

// worded is an error that speaks of settings.
type worded struct {
	format string
	args   []any
}

// Errorf makes an error as fmt.Errorf does; arguments of type Name are the
// settings that it speaks of.
func Errorf(format string, args ...any) error { return &worded{format, args} }

func (w *worded) Error() string { return w.spell(func(n Name) string { return string(n) }) }

// Unwrap gives the errors among the arguments.
func (w *worded) Unwrap() []error {
	var all []error
	for _, a := range w.args {
		if err, ok := a.(error); ok {
			all = append(all, err)
		}
	}
	return all
}

func (w *worded) spell(as func(Name) string) string {
	args := make([]any, len(w.args))
	for i, a := range w.args {
		switch a := a.(type) {
		case Name:
			args[i] = as(a)
		case error:
			args[i] = errors.New(Spell(a, as))
		default:
			args[i] = a
		}
	}
	return fmt.Errorf(w.format, args...).Error() // and not Sprintf, for the %w of errors
}

// Spell gives the words of an error with settings spelled as a program spells
// them, also where other errors are wrapped around one of Errorf.
func Spell(err error, as func(Name) string) string {
	if w, ok := any(err).(*worded); ok {
		return w.spell(as)
	}
	words := err.Error()
	for _, inner := range wrapped(err) {
		words = strings.Replace(words, inner.Error(), Spell(inner, as), 1)
	}
	return words
}

// wrapped gives the errors right below one.
func wrapped(err error) []error {
	switch e := any(err).(type) {
	case interface{ Unwrap() []error }:
		return e.Unwrap()
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return []error{inner}
		}
	}
	return nil
}
