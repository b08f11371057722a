package wire

func workerMain() bool { return false }
