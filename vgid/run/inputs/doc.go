// Package inputs is what a run reads: the benchmark and the people in it,
// instructions, and the models that stages start from, each by its name, by a folder
// or shipped with the program.
//
// Whatever is read is opened once in a run and kept, is there on every rank before any
// of them reads it, and comes with the fingerprints of the files that it was read from,
// by which stages are recorded; a file that changes in the middle of a run is read
// again, or ends the stage that trains on it (Inputs.Unchanged). Begin to read with
// Inputs.
package inputs
