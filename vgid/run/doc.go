// Package run is the product around the training: the stages of a run, on one
// worker of it.
//
// Job.Run is the whole job: it builds or opens the benchmark, trains the vanilla and
// the gold model, unlearns, evaluates all three and writes the report. What must hold
// of every stage: it begins once all ranks have the same files (package fingerprint)
// and its memory suffices; it leaves a record of what it read and made, by which a
// resumed run keeps it (package ledger); and all ranks end it together, whichever of
// them failed or was asked to end (package barrier). Begin to read with Job.Run, then
// Job.train. How weights change in a step is package train's.
package run
