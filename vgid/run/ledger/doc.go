// Package ledger knows which stages of a run are finished, which of them a resumed
// run may keep, and which is in progress.
//
// The record of a finished stage (rundir.Stage) holds the settings it depends on and
// the fingerprints of its inputs and outputs; the stage is kept only if all of them
// are as they were. Rank 0's records count; the other ranks are told. Begin to read with
// Ledger.Current.
package ledger
