// Package rundir is the folder of a run as one rank sees it on its disk: where
// things lie in it, its lock, the records of finished stages.
//
// Nothing here speaks with other ranks; which of them see the same folder is package
// transfer's.
package rundir
