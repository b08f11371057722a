package people

import (
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"testing"

	"vgid/vgid/people/portrait"
)

// TestContactSheet draws people by views for a look by eye when
// VGID_CONTACT_SHEET names a file.
func TestContactSheet(t *testing.T) {
	path := os.Getenv("VGID_CONTACT_SHEET")
	if path == "" {
		t.Skip("VGID_CONTACT_SHEET names no file to draw into")
	}
	const size, cols, rows = 96, 12, 8
	people, err := People(cols*rows/2, 3, "sheet", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	sheet := image.NewRGBA(image.Rect(0, 0, size*cols, size*rows))
	for i := range cols * rows {
		p := people[i/2]
		at := image.Rect(i%cols*size, i/cols*size, i%cols*size+size, i/cols*size+size)
		draw.Draw(sheet, at, portrait.View(p.Face, size, 1, p.ID, i%2), image.Point{}, draw.Src)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, sheet); err != nil {
		t.Fatal(err)
	}
	for i, p := range people {
		fmt.Println(i, p.Face.Describe())
	}
}

func BenchmarkPortrait96(b *testing.B) {
	people, err := People(8, 3, "bench", "", nil)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		portrait.View(people[i%8].Face, 96, 1, "x", i)
	}
}
