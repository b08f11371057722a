package kernels

var elementwise = []Kernel{
	{"add", "elementwise", "dst@ a@ b@ rows:i64 cols:i64", 256, "dst = a + b; dst may be a or b. Elementwise."},
}
