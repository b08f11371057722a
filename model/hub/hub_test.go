package hub

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// fakeHub serves one model; large files lie on a second server, as those of the
// real hub do.
type fakeHub struct {
	files     map[string][]byte
	hub, cdn  *httptest.Server
	api       func(w http.ResponseWriter, r *http.Request) bool // true: answered
	large     func(w http.ResponseWriter, r *http.Request) bool
	ask       atomic.Pointer[http.Header] // of the last call of the API
	leaked    atomic.Bool                 // a token reached the second server
	downloads atomic.Int32
}

func newHub(t *testing.T, files map[string][]byte) *fakeHub {
	h := &fakeHub{files: files}
	h.cdn = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.downloads.Add(1)
		if r.Header.Get("Authorization") != "" {
			h.leaked.Store(true)
		}
		if h.large != nil && h.large(w, r) {
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(h.files[strings.TrimPrefix(r.URL.Path, "/")]))
	}))
	h.hub = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.api != nil && h.api(w, r) {
			return
		}
		if strings.HasPrefix(r.URL.Path, "/api/models/org/tiny/revision/") {
			ask := r.Header.Clone()
			h.ask.Store(&ask)
			json.NewEncoder(w).Encode(map[string]any{"id": "org/tiny", "sha": commit, "siblings": h.siblings()})
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/org/tiny/resolve/"+commit+"/")
		if isLarge(name) {
			http.Redirect(w, r, h.cdn.URL+"/"+name, http.StatusFound)
			return
		}
		h.downloads.Add(1)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(h.files[name]))
	}))
	t.Cleanup(h.hub.Close)
	t.Cleanup(h.cdn.Close)
	return h
}

func isLarge(name string) bool { return strings.HasSuffix(name, ".safetensors") }

func (h *fakeHub) siblings() (out []map[string]any) {
	for name, b := range h.files {
		git := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(b)), b...))
		f := map[string]any{"rfilename": name, "size": len(b), "blobId": hex.EncodeToString(git[:])}
		if isLarge(name) {
			sum := sha256.Sum256(b)
			f["lfs"] = map[string]any{"sha256": hex.EncodeToString(sum[:]), "size": len(b), "pointerSize": 130}
			f["blobId"] = strings.Repeat("0", 40)
		}
		out = append(out, f)
	}
	return out
}

func (h *fakeHub) client(t *testing.T) (*Client, *bytes.Buffer) {
	var log bytes.Buffer
	return &Client{
		Endpoint: h.hub.URL, Cache: t.TempDir(), Token: "secret", Log: &log,
		Retries: 4, Wait: time.Millisecond, Stall: 5 * time.Second,
	}, &log
}

var tiny = Ref{"org/tiny", "main"}

func model() map[string][]byte {
	return map[string][]byte{
		"config.json":                    []byte(`{"model_type":"llava"}`),
		"tokenizer.json":                 []byte(`{}`),
		"chat_template.jinja":            []byte(`{{ x }}`),
		"model.safetensors.index.json":   []byte(`{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors","c":"model-1.safetensors"}}`),
		"model-1.safetensors":            bytes.Repeat([]byte("0123456789"), 5000),
		"model-2.safetensors":            bytes.Repeat([]byte("abcdefghij"), 3000),
		"consolidated.safetensors":       []byte("the same weights again"),
		"pytorch_model.bin":              []byte("and again"),
		"pytorch_model.bin.index.json":   []byte("{}"),
		"README.md":                      []byte("words"),
		"onnx/config.json":               []byte("{}"),
		"../../../../../escape.json":     []byte("{}"),
		"training/model-1.safetensors":   []byte("other"),
		"model.safetensors.index.json.x": []byte("{}"),
	}
}

func same(t *testing.T, dir string, want map[string][]byte, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(names) {
		t.Errorf("%s has %v, want %v", dir, entries, names)
	}
	for _, n := range names {
		got, err := os.ReadFile(filepath.Join(dir, n))
		if err != nil || !bytes.Equal(got, want[n]) {
			t.Errorf("%s: %d bytes (%v), want %d", n, len(got), err, len(want[n]))
		}
	}
}

var needed = []string{"config.json", "tokenizer.json", "chat_template.jinja", indexFile, "model-1.safetensors", "model-2.safetensors"}

// What loading takes is fetched, in the layout other tools read, once, and the
// token stays with the hub.
func TestFetch(t *testing.T) {
	h := newHub(t, model())
	c, log := h.client(t)
	dir, err := c.Fetch(context.Background(), tiny, Whole)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(c.Cache, "models--org--tiny", "snapshots", commit); dir != want {
		t.Errorf("folder %s, want %s", dir, want)
	}
	if Name(dir) != "org/tiny" || Name(c.Cache) != c.Cache {
		t.Errorf("called %s and %s", Name(dir), Name(c.Cache))
	}
	same(t, dir, h.files, needed...)
	sum := sha256.Sum256(h.files["model-1.safetensors"])
	if to, err := os.Readlink(filepath.Join(dir, "model-1.safetensors")); err != nil || to != "../../blobs/"+hex.EncodeToString(sum[:]) {
		t.Errorf("link to %s (%v)", to, err)
	}
	if ref, _ := os.ReadFile(filepath.Join(c.Cache, "models--org--tiny", "refs", "main")); string(ref) != commit {
		t.Errorf("refs/main holds %q", ref)
	}
	if h.ask.Load().Get("Authorization") != "Bearer secret" || h.leaked.Load() {
		t.Errorf("the hub got %q, the other server a token: %v", h.ask.Load().Get("Authorization"), h.leaked.Load())
	}
	if !strings.Contains(log.String(), "org/tiny: fetching 5 files, ") {
		t.Errorf("log %q", log)
	}
	n := h.downloads.Load()
	if _, err := c.Fetch(context.Background(), tiny, Whole); err != nil || h.downloads.Load() != n {
		t.Errorf("a second fetch made %d downloads (%v)", h.downloads.Load()-n, err)
	}
	h.hub.Close() // the network goes away
	log.Reset()
	if got, err := c.Fetch(context.Background(), tiny, Whole); err != nil || got != dir || !strings.Contains(log.String(), "taking the copy in the cache") {
		t.Errorf("without a network: %s, %v, log %q", got, err, log)
	}
	c.Offline = true
	if got, err := c.Fetch(context.Background(), tiny, Whole); err != nil || got != dir {
		t.Errorf("offline: %s, %v", got, err)
	}
	if err := os.Remove(filepath.Join(dir, "model-2.safetensors")); err != nil {
		t.Fatal(err)
	}
	_, err = c.Fetch(context.Background(), tiny, Whole)
	wantError(t, err, "is incomplete: model-2.safetensors is missing; HF_HUB_OFFLINE is set")
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line with %q", err, want)
	}
}

// Connections that break are taken up where they broke.
func TestResume(t *testing.T) {
	h := newHub(t, model())
	c, log := h.client(t)
	var ranges []string
	cut := func(w http.ResponseWriter, r *http.Request) bool {
		ranges = append(ranges, r.Header.Get("Range"))
		body := h.files[strings.TrimPrefix(r.URL.Path, "/")]
		var from int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		if len(body)-from <= 12000 {
			return false
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
		w.Header().Set("Content-Length", fmt.Sprint(len(body)-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(body[from : from+10000])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler) // the connection breaks
	}
	h.large = cut
	dir, err := c.Fetch(context.Background(), tiny, Whole)
	if err != nil {
		t.Fatal(err)
	}
	same(t, dir, h.files, needed...)
	if got := strings.Join(ranges, " "); !strings.Contains(got, "bytes=10000- bytes=20000- bytes=30000-") || !strings.Contains(log.String(), "; again in ") {
		t.Errorf("ranges asked: %q, log %q", got, log)
	}

	// What an earlier process left is gone on with; what is not a part of the
	// file is thrown away.
	for name, left := range map[string][]byte{"a part": h.files["model-1.safetensors"][:30000], "rubbish": bytes.Repeat([]byte("?"), 30000), "too much": make([]byte, 60000)} {
		c, _ := h.client(t)
		h.large = nil
		sum := sha256.Sum256(h.files["model-1.safetensors"])
		part := c.repo("org/tiny").blob(hex.EncodeToString(sum[:])) + ".incomplete"
		if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(part, left, 0o644); err != nil {
			t.Fatal(err)
		}
		var first string
		h.large = func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "model-1.safetensors") && first == "" {
				first = "from " + r.Header.Get("Range")
			}
			return false
		}
		dir, err := c.Fetch(context.Background(), tiny, Whole)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, dir, h.files, needed...)
		if want := map[bool]string{true: "from bytes=30000-", false: "from "}[name != "too much"]; first != want {
			t.Errorf("%s: the first request was %q, want %q", name, first, want)
		}
	}
}

func TestServerWithoutRanges(t *testing.T) {
	h := newHub(t, model())
	c, _ := h.client(t)
	broke := false
	h.large = func(w http.ResponseWriter, r *http.Request) bool {
		body := h.files[strings.TrimPrefix(r.URL.Path, "/")]
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		if !broke {
			broke = true
			w.Write(body[:len(body)/2])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Write(body)
		return true
	}
	dir, err := c.Fetch(context.Background(), tiny, Whole)
	if err != nil {
		t.Fatal(err)
	}
	same(t, dir, h.files, needed...)
}

// Contents that are not what the hub says never reach the cache.
func TestWrongContents(t *testing.T) {
	for name, change := range map[string]func(b []byte) []byte{
		"changed": func(b []byte) []byte { b[7]++; return b },
		"longer":  func(b []byte) []byte { return append(b, 'x') },
	} {
		h := newHub(t, model())
		c, _ := h.client(t)
		h.large = func(w http.ResponseWriter, r *http.Request) bool {
			w.Write(change(bytes.Clone(h.files[strings.TrimPrefix(r.URL.Path, "/")])))
			return true
		}
		_, err := c.Fetch(context.Background(), tiny, Whole)
		wantError(t, err, "the hub says")
		if err != nil && !errors.Is(err, errContents) {
			t.Errorf("%s: %v", name, err)
		}
		c.Offline = true
		_, err = c.Fetch(context.Background(), tiny, Whole)
		wantError(t, err, "is not in the cache")
	}
}

func TestRetries(t *testing.T) {
	h := newHub(t, model())
	c, _ := h.client(t)
	calls := 0
	h.api = func(w http.ResponseWriter, r *http.Request) bool {
		if calls++; calls%3 != 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	}
	dir, err := c.Fetch(context.Background(), tiny, Whole)
	if err != nil {
		t.Fatal(err)
	}
	same(t, dir, h.files, needed...)
	h.api = func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	}
	_, err = c.Fetch(context.Background(), tiny, Whole)
	wantError(t, err, "answers 502 Bad Gateway (tried 4 times)")
}

func TestStall(t *testing.T) {
	h := newHub(t, model())
	c, log := h.client(t)
	c.Stall, c.Retries = 100*time.Millisecond, 12 // a busy machine may stall by itself, too
	stalled := false
	h.large = func(w http.ResponseWriter, r *http.Request) bool {
		if stalled {
			return false
		}
		stalled = true
		w.Header().Set("Content-Length", "50000")
		w.Write([]byte("0123456789"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	}
	if _, err := c.Fetch(context.Background(), tiny, Whole); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "nothing came for 100ms") {
		t.Errorf("log %q", log)
	}
}

func TestCancel(t *testing.T) {
	h := newHub(t, model())
	c, _ := h.client(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("interrupted")
	h.large = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "50000")
		w.Write([]byte("0123456789"))
		w.(http.Flusher).Flush()
		cancel(why)
		<-r.Context().Done()
		return true
	}
	if _, err := c.Fetch(ctx, tiny, Whole); !errors.Is(err, why) {
		t.Errorf("error %v, want the reason of the context", err)
	}
}

// Several processes at once: every file is fetched by one of them.
func TestTogether(t *testing.T) {
	h := newHub(t, model())
	c, _ := h.client(t)
	h.large = func(http.ResponseWriter, *http.Request) bool { time.Sleep(20 * time.Millisecond); return false }
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			one := *c
			one.Log = io.Discard
			dir, err := one.Fetch(context.Background(), tiny, Whole)
			if err != nil {
				t.Error(err)
				return
			}
			same(t, dir, h.files, needed...)
		})
	}
	wg.Wait()
	if n := h.downloads.Load(); n != int32(len(needed)) {
		t.Errorf("%d downloads of %d files", n, len(needed))
	}
}

func TestRefusals(t *testing.T) {
	answer := func(code int, detail string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("X-Error-Code", detail)
			w.WriteHeader(code)
			return true
		}
	}
	for _, c := range []struct {
		name, token string
		api         func(http.ResponseWriter, *http.Request) bool
		change      func(m map[string][]byte)
		want        string
	}{
		{name: "gated", api: answer(403, ""), want: "is gated (403): ask for access at"},
		{name: "gated 401", api: answer(401, "GatedRepo"), want: "then set HF_TOKEN"},
		{name: "gated with token", token: "t", api: answer(403, "GatedRepo"), want: "not for this token"},
		{name: "private", api: answer(401, ""), want: "does not exist or is private (401)"},
		{name: "bad token", token: "t", api: answer(401, ""), want: "the token is not valid"},
		{name: "revision", api: answer(404, "RevisionNotFound"), want: "org/tiny has no revision main (404)"},
		{name: "no repo", api: answer(404, "RepoNotFound"), want: "does not exist at http://127.0.0.1"},
		{name: "teapot", api: answer(418, ""), want: "418 I'm a teapot"},
		{name: "html", api: func(w http.ResponseWriter, r *http.Request) bool { io.WriteString(w, "<html>"); return true }, want: "does not answer as a hub does"},
		{name: "no commit", api: func(w http.ResponseWriter, r *http.Request) bool { io.WriteString(w, "{}"); return true }, want: "no commit"},
		{name: "no config", change: func(m map[string][]byte) { delete(m, "config.json") }, want: "has no config.json"},
		{name: "bin only", change: func(m map[string][]byte) {
			for n := range m {
				if strings.Contains(n, "safetensors") {
					delete(m, n)
				}
			}
		}, want: "its weights are pytorch_model.bin, not safetensors: convert them"},
		{name: "missing shard", change: func(m map[string][]byte) { delete(m, "model-2.safetensors") }, want: "names model-2.safetensors, which the hub does not have"},
		{name: "shard outside", change: func(m map[string][]byte) { m[indexFile] = []byte(`{"weight_map":{"a":"../../x"}}`) }, want: `shard "../../x" is not a file name`},
	} {
		m := model()
		if c.change != nil {
			c.change(m)
		}
		h := newHub(t, m)
		h.api = c.api
		client, _ := h.client(t)
		client.Token = c.token
		_, err := client.Fetch(context.Background(), tiny, Whole)
		if wantError(t, err, c.want); t.Failed() {
			t.Fatal(c.name)
		}
	}
	none := httptest.NewServer(nil)
	none.Close()
	c := &Client{Endpoint: none.URL, Cache: t.TempDir(), Retries: 4, Wait: time.Millisecond, Stall: time.Second}
	_, err := c.Fetch(context.Background(), tiny, Whole)
	wantError(t, err, "cannot be reached: dial tcp")
}

func TestParseRef(t *testing.T) {
	for s, want := range map[string]Ref{
		"llava-hf/llava-1.5-7b-hf":            {"llava-hf/llava-1.5-7b-hf", "main"},
		"a/b@v1.0":                            {"a/b", "v1.0"},
		"a/b@refs/pr/1":                       {"a/b", "refs/pr/1"},
		"Qwen/Qwen2-VL-2B-Instruct@" + commit: {"Qwen/Qwen2-VL-2B-Instruct", commit},
		"a":                                   {}, "/a/b": {}, "./a": {}, "a/b/c": {}, "a/b@": {}, "../a": {}, "a/..": {}, "a/b@../c": {}, "a b/c": {}, "": {}, "a/b--c": {}, "a/b\n": {},
	} {
		if got, ok := ParseRef(s); got != want || ok != (want != Ref{}) {
			t.Errorf("%q: %v, %v, want %v", s, got, ok, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	home := t.TempDir()
	for _, n := range []string{"HF_ENDPOINT", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"} {
		t.Setenv(n, "")
	}
	t.Setenv("HF_HOME", home)
	if err := os.WriteFile(filepath.Join(home, "token"), []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := FromEnv(nil)
	if err != nil || c.Cache != filepath.Join(home, "hub") || c.Token != "from file" || c.Offline || c.Endpoint != "https://huggingface.co" {
		t.Errorf("%+v, %v", c, err)
	}
	t.Setenv("HF_TOKEN", "from environment")
	t.Setenv("HF_HUB_OFFLINE", "yes")
	t.Setenv("HF_ENDPOINT", "http://mirror/")
	if c, err = FromEnv(nil); err != nil || c.Token != "from environment" || !c.Offline || c.Endpoint != "http://mirror" {
		t.Errorf("%+v, %v", c, err)
	}
	dir := t.TempDir()
	if got, err := Folder(context.Background(), dir, Whole, nil); err != nil || got != dir {
		t.Errorf("a folder became %s, %v", got, err)
	}
	_, err = Folder(context.Background(), "./nowhere", Whole, nil)
	wantError(t, err, "folder ./nowhere does not exist, and it is no name of a model on a hub")
	_, err = Folder(context.Background(), "org/tiny", Whole, nil)
	wantError(t, err, "model org/tiny is not a folder here, and as a model on a hub: org/tiny@main is not in the cache")
	t.Setenv("HF_HUB_OFFLINE", "perhaps")
	_, err = FromEnv(nil)
	wantError(t, err, "HF_HUB_OFFLINE")
	t.Setenv("HF_HUB_OFFLINE", "")
	t.Setenv("HF_ENDPOINT", "mirror")
	_, err = FromEnv(nil)
	wantError(t, err, "HF_ENDPOINT")
}

// Who needs the tokenizer alone fetches no weights, not even of a model that
// has none in a format we read.
func TestTokenizerAlone(t *testing.T) {
	h := newHub(t, model())
	c, _ := h.client(t)
	h.large = func(_ http.ResponseWriter, r *http.Request) bool {
		t.Errorf("%s was asked for", r.URL.Path)
		return false
	}
	small := []string{"config.json", "tokenizer.json", "chat_template.jinja"}
	dir, err := c.Fetch(context.Background(), tiny, Tokenizer)
	if err != nil {
		t.Fatal(err)
	}
	same(t, dir, h.files, small...)
	c.Offline = true
	if got, err := c.Fetch(context.Background(), tiny, Tokenizer); err != nil || got != dir {
		t.Errorf("offline: %s, %v", got, err)
	}
	_, err = c.Fetch(context.Background(), tiny, Whole)
	wantError(t, err, "is incomplete: ")
	c.Offline, h.large = false, nil
	if got, err := c.Fetch(context.Background(), tiny, Whole); err != nil || got != dir {
		t.Errorf("the rest: %s, %v", got, err)
	}
	same(t, dir, h.files, needed...)

	delete(h.files, "tokenizer.json")
	c, _ = h.client(t)
	_, err = c.Fetch(context.Background(), tiny, Tokenizer)
	wantError(t, err, "org/tiny has no tokenizer.json: ")
	c.Offline = true
	_, err = c.Fetch(context.Background(), tiny, Tokenizer)
	wantError(t, err, "is not in the cache")
}
