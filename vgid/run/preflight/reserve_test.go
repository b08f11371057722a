package preflight

import (
	"strings"
	"testing"

	"vgid/vgid/config"
)

func TestShortage(t *testing.T) {
	for _, c := range []struct {
		name  string
		all   []request
		rank  int
		total int64
	}{
		{"enough", []request{{"a", 5, 10}, {"a", 5, 10}}, -1, 0},
		{"too little together", []request{{"a", 6, 10}, {"a", 5, 10}}, 0, 11},
		{"on another machine", []request{{"a", 9, 10}, {"b", 11, 10}}, 1, 11},
		{"apart", []request{{"a", 9, 10}, {"b", 9, 10}}, -1, 0},
		{"one sees more", []request{{"a", 6, 10}, {"a", 5, 11}}, -1, 0},
		{"nobody knows", []request{{"a", 6, -1}, {"a", 5, -1}}, -1, 0},
	} {
		e, rank := shortage(c.all)
		if e == nil {
			e = &MemoryError{}
		}
		if rank != c.rank || e.Need != c.total {
			t.Errorf("%s: rank %d of %d bytes, want %d of %d", c.name, rank, e.Need, c.rank, c.total)
		}
	}
}

// A refusal says what is missing of how much, and what would bring how much, in the
// spelling of whoever asked.
func TestMemoryError(t *testing.T) {
	const mi = 1 << 20
	flag := func(path, value string) string { return strings.TrimSpace("--" + path + " " + value) }
	recompute, accumulate := Setting{"train.recompute", "", 5 * mi}, Setting{"train.accumulate", "4", 3 * mi}
	adapter := &Setting{Path: "train.lora.r", Value: "16"}
	for _, tc := range []struct {
		e    MemoryError
		want string
	}{
		{MemoryError{Workers: 1, Advice: Advice{Settings: []Setting{recompute}, Enough: true}},
			"vanilla: a step takes 6.0 MiB of memory and 4.0 MiB are free: 2.0 MiB are missing; with --train.recompute it takes 5.0 MiB"},
		{MemoryError{Workers: 2, Mapped: true, Advice: Advice{Settings: []Setting{recompute, accumulate}, Enough: true}},
			"vanilla: a step takes 6.0 MiB of memory for the 2 workers here besides mapped files and 4.0 MiB are free: 2.0 MiB are missing; with --train.recompute --train.accumulate 4 it takes 3.0 MiB"},
		{MemoryError{Advice: Advice{Settings: []Setting{recompute}, Adapter: adapter}},
			"vanilla: a step takes 6.0 MiB of memory and 4.0 MiB are free: 2.0 MiB are missing; even with --train.recompute it takes 5.0 MiB; train an adapter instead of all weights (--train.lora.r 16)"},
		{MemoryError{Advice: Advice{Adapter: adapter}},
			"vanilla: a step takes 6.0 MiB of memory and 4.0 MiB are free: 2.0 MiB are missing; train an adapter instead of all weights (--train.lora.r 16)"},
		{MemoryError{Advice: Advice{Settings: []Setting{recompute}}},
			"vanilla: a step takes 6.0 MiB of memory and 4.0 MiB are free: 2.0 MiB are missing; even with --train.recompute it takes 5.0 MiB; take a machine with more memory, or fewer workers on this one"},
	} {
		tc.e.Work, tc.e.Need, tc.e.Free, tc.e.spell = "vanilla: a step", 6*mi, 4*mi, flag
		if got := tc.e.Error(); got != tc.want {
			t.Errorf("%s\nwant %s", got, tc.want)
		}
	}
	e := MemoryError{Work: "a: answering", Need: 2, Free: 1, spell: config.Plain, Advice: Advice{Enough: true, Settings: []Setting{{"eval.batch_tokens", "64", 1}}}}
	if got := e.Error(); !strings.HasSuffix(got, "with eval.batch_tokens 64 it takes 1 B") {
		t.Error(got)
	}
}
