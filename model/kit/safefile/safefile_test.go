package safefile_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/model/kit/hftest"
	"vgid/model/kit/safefile"
)

// An error of a file that is read while another is written keeps its name; those
// of the written one have its name and not the temporary one's.
func TestErrorsNameTheRightFile(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	err := safefile.Write(out, func(io.Writer) error {
		_, err := os.ReadFile(filepath.Join(dir, "face.png"))
		return err
	})
	hftest.WantError(t, err, "face.png: no such file")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	hftest.WantError(t, safefile.Write(filepath.Join(dir, "none", "out"), func(io.Writer) error { return nil }), filepath.Join(dir, "none", "out")+": no such file")
	err = safefile.Write(out, func(io.Writer) error { return os.Mkdir(out, 0o755) }) // where it is to be renamed to
	hftest.WantError(t, err, out+": ")
	if err != nil && strings.Count(err.Error(), out) != 1 {
		t.Errorf("error %v", err)
	}
}
