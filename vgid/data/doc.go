// Package data holds the benchmark: it reads MLLMU-Bench files as published,
// builds files of the same layout from fictitious people or from given
// profiles, draws the portraits, and makes the examples the quickstart's base
// model is trained on.
//
// Everything random is a pure function of (seed, purpose, index): the same
// configuration gives the same bytes on any machine and in any order of calls.
//
// Source of the layout: MLLMU-Bench, arXiv 2410.22108.
package data
