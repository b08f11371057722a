# Reads "go test -v": one line for each package, everything of those that fail,
# and at the end what was skipped, by package and reason. Exit status 1 when a
# package failed or none was tested.
/^=== / { next }
/^ *--- SKIP: / { skips[NR] = reason; next }
/^ *--- PASS: / { next }
/^ok  / {
	tested++
	print; fflush() # also into a file or a pipe, package by package
	for (i in skips) left[$2 ": " skips[i]]++
	delete skips; held = ""; next
}
/^\?  .*no test files/ || /^PASS$/ || /^testing: warning/ { next }
/^FAIL\t/ { failed++; printf "%s%s\n", held, $0; delete skips; held = ""; next }
{
	held = held $0 "\n"
	if (match($0, /^ +[a-z0-9_]+\.go:[0-9]+: /)) { reason = substr($0, RLENGTH + 1); sub(/^SKIPPED: /, "", reason) }
}
END {
	printf "%s", held
	print "\nleft out (\"make test\" has it): the race detector, the simulated GPU, a part of the inputs of some tests"
	n = 0
	for (l in left) lines[++n] = l
	for (i = 2; i <= n; i++) {
		l = lines[i]
		for (j = i - 1; j > 0 && lines[j] > l; j--) lines[j + 1] = lines[j]
		lines[j + 1] = l
	}
	for (i = 1; i <= n; i++) printf "left out: %3d of %s\n", left[lines[i]], lines[i]
	if (failed) printf "FAILED: %d packages\n", failed
	exit failed > 0 || !tested
}
