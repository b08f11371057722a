package mtls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func authority(t testing.TB, name string) *Authority {
	t.Helper()
	a, err := NewAuthority(name, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t testing.TB, a *Authority, g Grant) (cert, key Part) {
	t.Helper()
	c, k, err := a.Issue(g)
	if err != nil {
		t.Fatal(err)
	}
	return Part{"cert.pem", c}, Part{"key.pem", k}
}

// Each fault of the material is one line that names the part and says what to do.
func TestBadMaterial(t *testing.T) {
	a, other := authority(t, "job A"), authority(t, "job B")
	ca := Part{"ca.pem", a.Certificate()}
	cert, key := issue(t, a, Grant{Name: "rank"})
	_, foreign := issue(t, a, Grant{Name: "rank"})
	now := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	past, pastKey := issue(t, a, Grant{Name: "rank", From: now.Add(-48 * time.Hour), To: now.Add(-24 * time.Hour)})
	coming, comingKey := issue(t, a, Grant{Name: "rank", From: now.Add(time.Hour), To: now.Add(24 * time.Hour)})
	_, rsaKey := rsaPair(t)
	for name, tc := range map[string]struct {
		ca, cert, key Part
		at            time.Time
		want          string
	}{
		"no certificate":       {ca, Part{"cert.pem", []byte("hello")}, key, time.Now(), "cert.pem: no certificate in it; it has to be in PEM, which begins with -----BEGIN CERTIFICATE-----"},
		"a key instead":        {ca, key, key, time.Now(), `key.pem: no certificate in it, but "private key"`},
		"a damaged one":        {ca, Part{"cert.pem", block("CERTIFICATE", []byte("abc"))}, key, time.Now(), "cert.pem: certificate 1 cannot be read: "},
		"no key":               {ca, cert, cert, time.Now(), "cert.pem: no private key in it; it has to be in PEM, which begins with -----BEGIN PRIVATE KEY-----"},
		"a damaged key":        {ca, cert, Part{"key.pem", block("PRIVATE KEY", []byte("abc"))}, time.Now(), "key.pem: the private key cannot be read: "},
		"an encrypted key":     {ca, cert, Part{"key.pem", block("ENCRYPTED PRIVATE KEY", nil)}, time.Now(), "key.pem: the private key is encrypted; give it without a passphrase"},
		"another's key":        {ca, cert, foreign, time.Now(), "key.pem: the key does not belong to the certificate of cert.pem; give the key that it was issued for"},
		"a key of other kind":  {ca, cert, rsaKey, time.Now(), "rsa.pem: the key does not belong to the certificate of cert.pem"},
		"a rank's as the CA":   {cert, cert, key, time.Now(), `cert.pem: the certificate of "CN=rank" is none of a CA; give that of the CA which issued the ranks' certificates`},
		"another CA":           {Part{"ca.pem", other.Certificate()}, cert, key, time.Now(), `cert.pem: the certificate was not issued by the CA of this job, but by "CN=job A"`},
		"expired":              {caOf(t, a, now), past, pastKey, now, "cert.pem: the certificate expired at 2031-05-05 07:08:09 UTC, and the clock of this machine says 2031-05-06 07:08:09 UTC"},
		"not valid yet":        {caOf(t, a, now), coming, comingKey, now, "cert.pem: the certificate is valid from 2031-05-06 08:08:09 UTC on, and the clock of this machine says 2031-05-06 07:08:09 UTC"},
		"the CA expired":       {ca, cert, key, now, "ca.pem: the CA's certificate expired at "},
		"for servers alone":    {ca, withUsage(t, a, key, x509.ExtKeyUsageServerAuth), key, time.Now(), "cert.pem: the certificate is not for clients; a rank's has to have the extended key usages of servers and of clients, or none"},
		"for clients alone":    {ca, withUsage(t, a, key, x509.ExtKeyUsageClientAuth), key, time.Now(), "cert.pem: the certificate is not for servers;"},
		"without extended use": {ca, withUsage(t, a, key), key, time.Now(), ""},
		"good":                 {ca, cert, key, time.Now(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := at(func() time.Time { return tc.at }, tc.ca, tc.cert, tc.key)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// caOf gives the CA with a certificate that is valid then.
func caOf(t *testing.T, a *Authority, when time.Time) Part {
	t.Helper()
	c := *a.cert
	c.NotBefore, c.NotAfter = when.Add(-time.Hour), when.Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &c, &c, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return Part{"ca.pem", block("CERTIFICATE", der)}
}

// withUsage issues a certificate for a key, as other tools do.
func withUsage(t *testing.T, a *Authority, key Part, usages ...x509.ExtKeyUsage) Part {
	t.Helper()
	k, err := privateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(5), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: usages}
	der, err := x509.CreateCertificate(rand.Reader, of, a.cert, k.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return Part{"cert.pem", block("CERTIFICATE", der)}
}

func rsaPair(t *testing.T) (cert, key Part) {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		Subject: pkix.Name{CommonName: "own"}}
	der, err := x509.CreateCertificate(rand.Reader, of, of, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return Part{"rsa-cert.pem", block("CERTIFICATE", der)}, Part{"rsa.pem", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k))}
}

// The forms of keys that openssl and others write, a chain by way of a CA between, and text around
// the blocks, are read.
func TestFormsOfMaterial(t *testing.T) {
	cert, key := rsaPair(t) // its own CA
	if _, err := New(cert, cert, key); err != nil {
		t.Error("an RSA key in PKCS #1:", err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	root := authority(t, "root")
	root.cert.MaxPathLenZero = false
	over := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	rootDER, err := x509.CreateCertificate(rand.Reader, over, over, root.key.Public(), root.key)
	if err != nil {
		t.Fatal(err)
	}
	between := authority(t, "between")
	over.Subject.CommonName, over.SerialNumber = "between", big.NewInt(2)
	rootCert, _ := x509.ParseCertificate(rootDER)
	betweenDER, err := x509.CreateCertificate(rand.Reader, over, rootCert, between.key.Public(), root.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(3), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	betweenCert, _ := x509.ParseCertificate(betweenDER)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, betweenCert, ec.Public(), between.key)
	if err != nil {
		t.Fatal(err)
	}
	params := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 5}})
	text := []byte("Certificate:\n    Data:\n")
	_, err = New(Part{"ca", block("CERTIFICATE", rootDER)},
		Part{"cert", bytes.Join([][]byte{text, block("CERTIFICATE", leafDER), block("CERTIFICATE", betweenDER)}, nil)},
		Part{"key", append(params, block("EC PRIVATE KEY", sec1)...)})
	if err != nil {
		t.Error("a chain, and a key in SEC 1 behind its parameters:", err)
	}
}

// A variable holds the text or names a file; what cannot be read is one line.
func TestParts(t *testing.T) {
	a := authority(t, "job")
	dir := t.TempDir()
	path := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(path, a.Certificate(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{path, "\n" + string(a.Certificate())} {
		p, err := Text("VGID_TLS_CA", value)
		if err != nil || !strings.HasPrefix(p.Name, "VGID_TLS_CA") {
			t.Fatalf("%+v, %v", p, err)
		}
		if c, err := certificates(p); err != nil || len(c) != 1 {
			t.Errorf("%d certificates of %s, %v", len(c), p.Name, err)
		}
	}
	if _, err := File("collective.tls.ca", filepath.Join(dir, "none")); err == nil || !strings.HasPrefix(err.Error(), "collective.tls.ca: open ") {
		t.Error(err)
	}
	if err := os.Truncate(path, mostPEM+1); err != nil {
		t.Fatal(err)
	}
	if _, err := File("collective.tls.ca", path); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Error(err)
	}
}

// A certificate is for the ranks and hosts that it names, and for all where it names none.
func TestWhoseItIs(t *testing.T) {
	a := authority(t, "job")
	for name, tc := range map[string]struct {
		grant Grant
		addr  string
		want  string // of the end of the error
	}{
		"for everybody":     {Grant{}, "10.0.0.1:9", ""},
		"for this rank":     {Grant{Ranks: []*url.URL{RankURI("a job/b", 3)}}, "10.0.0.1:9", ""},
		"for two ranks":     {Grant{Ranks: []*url.URL{RankURI("a job/b", 2), RankURI("a job/b", 3)}}, "10.0.0.1:9", ""},
		"for another rank":  {Grant{Ranks: []*url.URL{RankURI("a job/b", 30)}}, "10.0.0.1:9", `is for "vgid:a%20job%2Fb/rank/30", not for "vgid:a%20job%2Fb/rank/3"`},
		"of another job":    {Grant{Ranks: []*url.URL{RankURI("a job", 3)}}, "10.0.0.1:9", `is for "vgid:a%20job/rank/3", not for "vgid:a%20job%2Fb/rank/3"`},
		"other URIs":        {Grant{Ranks: []*url.URL{{Scheme: "spiffe", Host: "x", Path: "/y"}}}, "10.0.0.1:9", ""},
		"for this address":  {Grant{Hosts: []string{"10.0.0.1", "node1"}}, "10.0.0.1:9", ""},
		"for this host":     {Grant{Hosts: []string{"10.0.0.1", "node1"}}, "node1:9", ""},
		"for an IPv6":       {Grant{Hosts: []string{"fe80::1"}}, "[fe80::1]:9", ""},
		"for other hosts":   {Grant{Hosts: []string{"10.0.0.1", "node1"}}, "10.0.0.2:9", `is for the host "node1, 10.0.0.1", not for "10.0.0.2", where rank 3 is called`},
		"rank, other host":  {Grant{Ranks: []*url.URL{RankURI("a job/b", 3)}, Hosts: []string{"node1"}}, "node2:9", `is for the host "node1", not for "node2", where rank 3 is called`},
		"names of any size": {Grant{Hosts: []string{strings.Repeat("a.", 90) + "b"}}, "node2:9", `is for the host "` + strings.Repeat("a.", 50) + `", not for "node2", where rank 3 is called`},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := a.Identity(tc.grant)
			if err != nil {
				t.Fatal(err)
			}
			err = id.Check("a job/b", 3, tc.addr)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.HasSuffix(err.Error(), tc.want)) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}
