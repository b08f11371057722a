//go:build linux

package main

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vgid/collective/mtls"
)

// material writes a CA, and a certificate and key of it, and names the files.
func material(t *testing.T, g mtls.Grant) (ca, cert, key string) {
	t.Helper()
	a, err := mtls.NewAuthority("the job's CA", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c, k, err := a.Issue(g)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return file("ca.pem", a.Certificate()), file("cert.pem", c), file("key.pem", k)
}

// Two workers with certificates do what they do without, to the bit.
func TestWorkersOverTLS(t *testing.T) {
	l := launcher(t)
	ca, cert, key := material(t, mtls.Grant{Hosts: []string{"127.0.0.1"}})
	var adapters [][]byte
	for _, more := range [][]string{nil, {"--collective.tls.ca=" + ca, "--collective.tls.cert=" + cert, "--collective.tls.key=" + key}} {
		out := t.TempDir()
		args := append([]string{"--nodes", "2", "--local", "--", program}, unlearnWith(out, nil)...)
		must(t, l, append(args, more...)...)
		b, err := os.ReadFile(filepath.Join(out, "r", "unlearned", "adapter", "adapter_model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		adapters = append(adapters, b)
	}
	if !bytes.Equal(adapters[0], adapters[1]) {
		t.Error("over TLS the adapter is another")
	}
}

// What is wrong with the material, or with that of the other worker, ends the job at once with one line.
func TestBadTLS(t *testing.T) {
	l := launcher(t)
	ca, cert, key := material(t, mtls.Grant{Hosts: []string{"127.0.0.1"}})
	ca2, cert2, key2 := material(t, mtls.Grant{Ranks: []*url.URL{mtls.RankURI("another job", 0)}})
	env := func(ca, cert, key string) []string {
		return []string{"VGID_TLS_CA=" + ca, "VGID_TLS_CERT=" + cert, "VGID_TLS_KEY=" + key}
	}
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	all := `exec "$0" "$@"`
	for name, tc := range map[string]struct {
		env, more []string
		script    string
		want      string
	}{
		"no such file":      {env(ca, cert, key+"x"), nil, all, "vgid: VGID_TLS_KEY: open " + key + "x: no such file or directory"},
		"the files win":     {env(ca, cert, key), []string{"--collective.tls.ca=" + ca, "--collective.tls.cert=" + cert, "--collective.tls.key=" + key2}, all, "vgid: collective.tls.key " + key2 + ": the key does not belong to the certificate of collective.tls.cert " + cert + "; give the key that it was issued for"},
		"text of another":   {env(ca2, string(text), key), nil, all, `vgid: VGID_TLS_CERT: the certificate was not issued by the CA of this job, but by "CN=the job's CA"`},
		"of another job":    {env(ca2, cert2, key2), nil, all, `: the certificate of this rank, of "", is for "vgid:another%20job/rank/0", not for "vgid:vgid/rank/`},
		"rank 1 without":    {env(ca, cert, key), nil, `[ $VGID_RANK = 1 ] && unset VGID_TLS_CA VGID_TLS_CERT VGID_TLS_KEY; exec "$0" "$@"`, " has none: give all ranks certificates, or none"},
		"rank 1 of another": {env(ca, cert, key), nil, `[ $VGID_RANK = 1 ] && export VGID_TLS_CA=` + ca3(t) + `; exec "$0" "$@"`, "VGID_TLS_CERT " + cert + ": the certificate was not issued by the CA of this job"},
		"not all":           {env(ca, cert, ""), nil, all, "VGID_TLS_CERT is set, but not all of VGID_TLS_CA, VGID_TLS_CERT and VGID_TLS_KEY: set all of them or none"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"--nodes", "2", "--local", "--", "sh", "-c", tc.script, program}, unlearnWith(t.TempDir(), nil)...)
			p := start(t, tc.env, l, append(args, tc.more...)...)
			if code := p.wait(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			if last := lastLine(p.err.String()); !strings.HasPrefix(last, "vgid-launch: ") || !strings.Contains(last, tc.want) {
				t.Errorf("the last line is %q, want %q in it", last, tc.want)
			}
		})
	}
}

func ca3(t *testing.T) string {
	ca, _, _ := material(t, mtls.Grant{})
	return ca
}
