// Package eval asks a model the questions of a benchmark and scores what it
// answers.
//
// The way through it: BuildItems turns profiles into prompts in one global
// order; Run gives each rank its share of them, hands the share to an
// Answerer and gathers the answers of all ranks; Tally makes the metrics of
// package metric; Summary holds them, and package report shows them.
//
// Every metric lies in [0, 1]. Source of the protocol: MLLMU-Bench
// (arXiv 2410.22108).
package eval
