package imaging

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"vgid/model/kit/hftest"
)

type bmpGolden struct {
	Name   string
	File   []byte
	W, H   int
	Sha256 string // "": Pillow refuses the file
}

func checkBMP(t *testing.T, r bmpGolden) {
	t.Helper()
	img, err := Decode(r.File, "row 7")
	switch beyond := strings.Contains(r.Name, "masks RGBA, header of"); {
	case r.Sha256 == "" && !beyond && err == nil:
		t.Errorf("%s: read, where Pillow refuses", r.Name)
	case r.Sha256 == "" && err != nil: // damage is told from kinds
		damaged := strings.Contains(r.Name, "short") || strings.Contains(r.Name, "cut") || strings.Contains(r.Name, "early") || strings.Contains(r.Name, "empty row")
		hftest.WantError(t, err, map[bool]string{true: "row 7: corrupt bmp image of ", false: "row 7: BMP of this kind is not read ("}[damaged])
	case r.Sha256 == "": // masks of whole bytes are read in any order
	case err != nil && strings.Contains(err.Error(), "greys in order"): // Pillow reads another number of bits than the file says
	case err != nil:
		t.Errorf("%s: %v", r.Name, err)
	default:
		rgb := overWhite(img)
		if sum := sha256.Sum256(rgb.Pix); rgb.W != r.W || rgb.H != r.H || hex.EncodeToString(sum[:]) != r.Sha256 {
			t.Errorf("%s: %d×%d pixels that differ from Pillow's %d×%d", r.Name, rgb.W, rgb.H, r.W, r.H)
		}
	}
}

// Every kind of BMP is Pillow's, byte for byte, or refused (testdata/make_bmp.py).
func TestBMPGolden(t *testing.T) {
	var rows []bmpGolden
	hftest.Golden(t, "images/bmp.json", &rows)
	for _, r := range rows {
		checkBMP(t, r)
	}
}
