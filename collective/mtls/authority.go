package mtls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"time"
)

// Authority is a CA in memory, for ranks that one process starts: when it ends, nobody can
// issue certificates of it any more.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Grant is what a certificate is issued for. What is left empty is not in it.
type Grant struct {
	Name     string     // for people
	Ranks    []*url.URL // as RankURI gives them
	Hosts    []string   // names or addresses
	From, To time.Time  // zero: an hour ago, as clocks differ; when the CA ends
}

// NewAuthority makes a CA whose certificate is valid for so long.
func NewAuthority(name string, valid time.Duration) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	of := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{cert, key}, err
}

// serial is a number that no other certificate has (RFC 5280, 4.1.2.2: at most 20 bytes, positive).
func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	return new(big.Int).SetBytes(append([]byte{1}, b...))
}

// Certificate is that of the CA, as PEM.
func (a *Authority) Certificate() []byte { return block("CERTIFICATE", a.cert.Raw) }

// Issue gives a certificate, for servers and clients, and its key, as PEM.
func (a *Authority) Issue(g Grant) (cert, key []byte, err error) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if g.From.IsZero() {
		g.From = a.cert.NotBefore
	}
	if g.To.IsZero() {
		g.To = a.cert.NotAfter
	}
	of := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: g.Name}, NotBefore: g.From, NotAfter: g.To, URIs: g.Ranks,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range g.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			of.IPAddresses = append(of.IPAddresses, ip)
		} else {
			of.DNSNames = append(of.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, of, a.cert, own.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(own)
	return block("CERTIFICATE", der), block("PRIVATE KEY", secret), err
}

// Identity issues a certificate to a rank of this process.
func (a *Authority) Identity(g Grant) (*Identity, error) {
	cert, key, err := a.Issue(g)
	if err != nil {
		return nil, err
	}
	return New(Part{"CA", a.Certificate()}, Part{"certificate", cert}, Part{"key", key})
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
