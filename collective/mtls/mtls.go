// Package mtls is mutual TLS between the ranks of one job: what a rank shows, how
// it knows its peers by what they show, and, in a line each, what is wrong with either.
//
// A job has a CA, whose certificate all ranks have. Each rank has a certificate that the
// CA issued, for servers and clients, since it listens and calls; and the key of it. Who
// may be which rank is in the certificate, as far as it says (see Check). Only TLS 1.3
// is spoken (RFC 8446).
package mtls

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Part is one of the three parts of the material, as PEM (RFC 7468).
type Part struct {
	Name string // where it is from, which begins errors: a file, a variable
	PEM  []byte
}

// mostPEM bounds what is read of a file that was named by mistake. A large bundle of CAs
// has 300 KiB.
const mostPEM = 1 << 20

// File reads a part from a file; name says who names it, as a setting.
func File(name, path string) (Part, error) {
	f, err := os.Open(path)
	if err != nil {
		return Part{}, fmt.Errorf("%s: %w", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostPEM+1))
	switch {
	case err != nil:
		return Part{}, fmt.Errorf("%s: %w", name, err)
	case len(b) > mostPEM:
		return Part{}, fmt.Errorf("%s: %s has more than %d bytes, which no certificate has", name, path, mostPEM)
	}
	return Part{name + " " + path, b}, nil
}

// Text is a part that is itself the value of a variable, or names a file that has it.
func Text(name, value string) (Part, error) {
	if strings.HasPrefix(strings.TrimSpace(value), "-----BEGIN ") {
		return Part{name, []byte(value)}, nil
	}
	return File(name, value)
}

// Identity is what a rank shows and what it trusts.
//
// What must always hold: the key belongs to the certificate, and the certificate was
// issued by the CA for servers and clients and was valid when the Identity was made.
type Identity struct {
	own   tls.Certificate
	roots *x509.CertPool
	now   func() time.Time
}

// New checks the three parts against each other and the clock.
func New(ca, cert, key Part) (*Identity, error) { return at(time.Now, ca, cert, key) }

func at(now func() time.Time, ca, cert, key Part) (*Identity, error) {
	cas, err := certificates(ca)
	if err != nil {
		return nil, err
	}
	id := &Identity{roots: x509.NewCertPool(), now: now}
	for _, c := range cas {
		if !c.IsCA {
			return nil, fmt.Errorf("%s: the certificate of %s is none of a CA; give that of the CA which issued the ranks' certificates", ca.Name, subject(c))
		}
		if err := current(c, now()); err != nil {
			return nil, fmt.Errorf("%s: the CA's certificate %w", ca.Name, err)
		}
		id.roots.AddCert(c)
	}
	chain, err := certificates(cert)
	if err != nil {
		return nil, err
	}
	private, err := privateKey(key)
	if err != nil {
		return nil, err
	}
	leaf := chain[0]
	own, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !own.Equal(private.Public()) {
		return nil, fmt.Errorf("%s: the key does not belong to the certificate of %s; give the key that it was issued for", key.Name, cert.Name)
	}
	id.own = tls.Certificate{PrivateKey: private, Leaf: leaf}
	for _, c := range chain {
		id.own.Certificate = append(id.own.Certificate, c.Raw)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if err := id.verify(chain, usage); err != nil {
			return nil, fmt.Errorf("%s: the certificate %w", cert.Name, err)
		}
	}
	return id, nil
}

// certificates reads all certificates of a part, at least one.
func certificates(p Part) (out []*x509.Certificate, err error) {
	other := ""
	for rest := p.PEM; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			other = b.Type
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d cannot be read: %w", p.Name, len(out)+1, err)
		}
		out = append(out, c)
	}
	switch {
	case len(out) > 0:
		return out, nil
	case other != "":
		return nil, fmt.Errorf("%s: no certificate in it, but %q", p.Name, strings.ToLower(other))
	}
	return nil, fmt.Errorf("%s: no certificate in it; it has to be in PEM, which begins with -----BEGIN CERTIFICATE-----", p.Name)
}

// privateKey reads the first private key of a part.
func privateKey(p Part) (crypto.Signer, error) {
	for rest := p.PEM; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return nil, fmt.Errorf("%s: no private key in it; it has to be in PEM, which begins with -----BEGIN PRIVATE KEY-----", p.Name)
		}
		if !strings.HasSuffix(b.Type, "PRIVATE KEY") {
			continue
		}
		if strings.HasPrefix(b.Type, "ENCRYPTED") || bytes.Contains([]byte(b.Headers["Proc-Type"]), []byte("ENCRYPTED")) {
			return nil, fmt.Errorf("%s: the private key is encrypted; give it without a passphrase", p.Name)
		}
		k, err := parseKey(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: the private key cannot be read: %w", p.Name, err)
		}
		return k, nil
	}
}

// parseKey reads the three forms in which tools write private keys.
func parseKey(der []byte) (crypto.Signer, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err == nil {
		if s, ok := k.(crypto.Signer); ok {
			return s, nil
		}
		return nil, fmt.Errorf("a %T signs nothing", k)
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	return nil, err
}
