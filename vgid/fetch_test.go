package vgid

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"vgid/model"
)

// hubOf serves a folder as org/tiny; commit gives the commit of each call.
func hubOf(t *testing.T, dir string, commit func() string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []map[string]any
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		files = append(files, map[string]any{"rfilename": e.Name(), "lfs": map[string]any{"sha256": hex.EncodeToString(sum[:]), "size": len(b)}})
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/models/org/tiny/"):
			json.NewEncoder(w).Encode(map[string]any{"sha": commit(), "siblings": files})
		case strings.HasPrefix(r.URL.Path, "/org/tiny/resolve/"):
			http.ServeFile(w, r, filepath.Join(dir, filepath.Base(r.URL.Path)))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("HF_ENDPOINT", s.URL)
	t.Setenv("HF_HOME", t.TempDir())
	for _, n := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"} {
		t.Setenv(n, "")
	}
}

// Workers fetch a model by its name, all the same, or all learn why not.
func TestModelOfHub(t *testing.T) {
	w, err := smallWorld()
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	moving := false
	hubOf(t, w.Model, func() string {
		if n := calls.Add(1); moving {
			return fmt.Sprintf("%040d", n)
		}
		return fmt.Sprintf("%040d", 7)
	})
	c := small(t, nil)
	var loaded atomic.Int32
	onWorld(t, 3, c, func(ctx context.Context, j *Job) error {
		dir, err := j.ModelDir(ctx, "org/tiny")
		if err != nil {
			return err
		}
		if want := fmt.Sprintf("models--org--tiny/snapshots/%040d", 7); !strings.HasSuffix(dir, want) {
			return fmt.Errorf("folder %s, want …/%s", dir, want)
		}
		m, err := model.Load(ctx, j.Backend, dir)
		if err != nil {
			return err
		}
		loaded.Add(1)
		m.Close()
		return nil
	})
	if loaded.Load() != 3 {
		t.Errorf("%d workers loaded the model", loaded.Load())
	}
	refused := func(ref, want string) {
		t.Helper()
		onWorld(t, 3, c, func(ctx context.Context, j *Job) error {
			if dir, err := j.ModelDir(ctx, ref); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("rank %d: folder %q, error %v, want one with %q", j.Comm.Rank(), dir, err, want)
			}
			return nil
		})
	}
	refused("org/other", "org/other does not exist at http://127.0.0.1")
	moving = true
	refused("org/tiny", "model org/tiny changed on the hub meanwhile: rank 0 got commit")
}
