package origin

import (
	"path/filepath"
	"strings"
	"testing"
)

// Whatever arrives, what is taken of it stays in the folder and is what would be
// sent again.
func FuzzDecodeManifest(f *testing.F) {
	sum := strings.Repeat("5", 64)
	f.Add([]byte(`{"folder":"data","files":[{"for":"set a","name":"data/a/b.parquet","size":3,"sha256":"` + sum + `"}]}`))
	f.Add([]byte(`{"folder":"a/b","files":[{"name":"a/b/../c","size":3,"sha256":"` + sum + `"}]}`))
	f.Add([]byte(`{"folder":"a","files":null}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeManifest(b)
		if err != nil {
			return
		}
		names := map[string]bool{}
		for _, file := range m.Files {
			local := filepath.FromSlash(file.Name)
			if !filepath.IsLocal(local) || filepath.Clean(local) != local || !strings.HasPrefix(file.Name, m.Folder+"/") || file.Size < 0 || names[file.Name] {
				t.Fatalf("took %+v in %q", file, m.Folder)
			}
			names[file.Name] = true
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeManifest(again); err != nil || back.Folder != m.Folder || len(back.Files) != len(m.Files) {
			t.Fatalf("%s came back as %v, %v", again, back, err)
		}
	})
}
