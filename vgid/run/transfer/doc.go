// Package transfer brings files of rank 0 to the ranks that do not see them.
//
// Workers on one machine, or on a disk that all share, see one run folder. Elsewhere
// each machine has its own, and what rank 0 makes there (a model, a benchmark) has to
// reach the others before a stage reads it. Disks finds out who sees what;
// Transfer.Share sends a folder, 4 MiB a broadcast, so that every rank that needs it
// gets it at once. What arrives is named by a manifest and checked against its
// SHA-256 before it is renamed into place, it stays below the run's folder wherever
// links there lead, and nothing is replaced that no run is known to have made. Begin
// to read with Transfer.Share.
package transfer
