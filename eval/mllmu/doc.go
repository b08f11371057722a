// Package mllmu reads and writes benchmarks in MLLMU-Bench's files, as they are
// published, exported and built.
//
// Source of the layout: MLLMU-Bench, arXiv 2410.22108.
package mllmu
