// Package mllmu reads and writes benchmarks in MLLMU-Bench's files: folders of
// parquet files, as they are published, exported by other programs, and built by
// vgid.
//
// The way through it: Find lists a folder's sets by the names of its files
// (layout.go, and parts.go for sets in several files; foreign.go says what a
// folder or a file is that is none). Read assembles the rows of a set by each
// file's own schema (rows.go), decodes them (decode.go, questions.go, images.go)
// and merges the views of a person (collect.go). write.go is the way back.
//
// What must hold: a set is whole or refused, with the file that is missing; a row
// that is read is right or refused, with the file, the row, the ID and the column;
// and whatever a row says, no picture is opened that lies outside the folder of the
// parquet file, or of the file that this one is a link to.
//
// Source of the layout: MLLMU-Bench, arXiv 2410.22108.
package mllmu
