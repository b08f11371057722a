// Package preflight finds out before a stage begins whether its memory suffices.
//
// The largest step of a training stage, and the answers of an evaluation, are worked
// through on a device that only counts (model/dry), with the real objective and the
// real samples, so there is no formula that could differ from the work. What the ranks
// that share a memory need together is compared with what is free there
// (Check.Reserve). Where it does not suffice, settings that lower it are tried in the
// same way, and the MemoryError says which of them bring how much. Begin to read with
// Check.Training.
package preflight
