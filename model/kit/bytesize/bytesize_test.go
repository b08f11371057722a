package bytesize

import "testing"

func TestSizes(t *testing.T) {
	for n, want := range map[int64][3]string{
		0:              {"0 B", "0 B", "0 B"},
		-5:             {"-5 B", "-5 B", "-5 B"},
		999:            {"999 B", "999 B", "999 B"},
		1000:           {"1000 B", "1000 B", "1.0 kB"},
		1023:           {"1023 B", "1023 B", "1.0 kB"},
		1 << 10:        {"1.0 KiB", "1.0 KiB", "1.0 kB"},
		1<<20 - 1:      {"1024.0 KiB", "1024.0 KiB", "1.0 MB"},
		416 << 20:      {"416.0 MiB", "416.0 MiB", "436.2 MB"},
		1 << 30:        {"1.0 GiB", "1.00 GiB", "1.1 GB"},
		15_338_000_000: {"14.3 GiB", "14.28 GiB", "15.3 GB"},
		4 << 40:        {"4096.0 GiB", "4096.00 GiB", "4398.0 GB"},
	} {
		if got := [3]string{Binary(n).String(), Binary(n).GiB(2), Decimal(n).String()}; got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
