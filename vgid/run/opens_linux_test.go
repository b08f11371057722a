package run

import (
	"context"
	"encoding/binary"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vgid/vgid/vgidtest"
)

// opens counts how often files below folders are opened, by whomever, until the test
// asks for the counts: by the path below its folder, with the folder's name.
func opens(t *testing.T, folders map[string]string) func() map[string]int {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Skip("SKIPPED: opened files cannot be counted here: ", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	watched := map[int32]string{}
	for name, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			wd, err := unix.InotifyAddWatch(fd, path, unix.IN_OPEN|unix.IN_CLOSE)
			rel, _ := filepath.Rel(folder, path)
			watched[int32(wd)] = filepath.Join(name, rel)
			return err
		})
		if err != nil {
			t.Skip("SKIPPED: opened files cannot be counted here: ", err)
		}
	}
	return func() map[string]int {
		t.Helper()
		counts := map[string]int{}
		buf := make([]byte, 1<<16)
		for {
			n, err := unix.Read(fd, buf)
			if err != nil || n <= 0 {
				return counts // there are no more
			}
			for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
				wd, mask, size := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[12:])
				if mask&unix.IN_Q_OVERFLOW != 0 {
					t.Fatal("more files are opened than can be counted")
				}
				if mask&unix.IN_OPEN != 0 && mask&unix.IN_ISDIR == 0 {
					file := strings.TrimRight(string(b[unix.SizeofInotifyEvent:][:size]), "\x00")
					counts[filepath.Join(watched[wd], file)]++
				}
				b = b[unix.SizeofInotifyEvent+int(size):]
			}
		}
	}
}

// A whole run opens each model folder once and reads each set of the benchmark once: of
// every file there is one open for its fingerprint and one to read it. What of a folder
// becomes part of the model that is made of it is copied from there as well.
func TestEverythingIsOpenedOnce(t *testing.T) {
	long(t)
	c := vgidtest.Small(t, map[string]string{"unlearn.steps": "1", "eval.max_new": "2"})
	dir := t.TempDir()
	folders := map[string]string{}
	for name, at := range map[string]*string{"vanilla": &c.Model.Vanilla, "gold": &c.Model.Gold} {
		*at = filepath.Join(dir, name)
		copyTree(t, *at, c.Model.Base)
		folders[name] = *at
	}
	folders["data"] = filepath.Join(dir, "data")
	copyTree(t, folders["data"], c.Data.Dir)
	c.Data.Dir = folders["data"]
	counted := opens(t, folders)
	onWorld(t, 1, c, func(ctx context.Context, j *Job) error { return j.Run(ctx) })
	counts := counted()
	for f, n := range counts {
		want := 2
		switch filepath.Base(f) {
		case "config.json": // it is read for the model, the tokenizer and the processor
			want = 4
		case "model.safetensors", "train-00000-of-00001.parquet":
		default:
			if filepath.Dir(f) == "vanilla" {
				want = 3 // and copied
			}
		}
		if f == "vanilla/config.json" { // copied with the model, and named by the adapter
			want = 6
		}
		if n != want {
			t.Errorf("%s is opened %d times, want %d", f, n, want)
		}
	}
	for _, f := range []string{"vanilla/tokenizer.json", "vanilla/model.safetensors", "gold/model.safetensors", "data/Full_Set/train-00000-of-00001.parquet"} {
		if counts[f] == 0 {
			t.Errorf("%s is never opened", f)
		}
	}
}
