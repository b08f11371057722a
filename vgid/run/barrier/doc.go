// Package barrier lets the ranks of a run do work together that is no collective
// operation: read files, wait for a download, load a model, answer questions.
//
// A collective operation has a deadline, because a rank that does not come to it is
// taken for broken. Work may take longer than any deadline. A Group therefore holds
// a barrier with progress: while some rank still works, all ranks exchange a word
// every two seconds, and that exchange is the collective operation. Begin to read
// with Group, whose comment says what must hold, then Group.Barrier.
package barrier
