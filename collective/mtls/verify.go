package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// protocol is what is spoken within (ALPN, RFC 7301): HTTP/2.
const protocol = "h2"

// Client is for the calling end of a connection.
func (id *Identity) Client() *tls.Config { return id.config(x509.ExtKeyUsageServerAuth) }

// Server is for the listening end.
func (id *Identity) Server() *tls.Config { return id.config(x509.ExtKeyUsageClientAuth) }

// config has verify look at what the peer shows, at both ends and in the same words. What
// package tls does by itself is only for servers with host names, which ranks need not have.
func (id *Identity) config(peers x509.ExtKeyUsage) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{protocol},
		Certificates:       []tls.Certificate{id.own},
		ClientAuth:         tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // VerifyConnection does
		VerifyConnection: func(s tls.ConnectionState) error {
			if s.NegotiatedProtocol != protocol {
				return &Refusal{fmt.Errorf("the peer speaks %q within TLS, not %q", s.NegotiatedProtocol, protocol)}
			}
			if len(s.PeerCertificates) == 0 {
				return &Refusal{errors.New("the peer shows no certificate")}
			}
			if err := id.verify(s.PeerCertificates, peers); err != nil {
				return &Refusal{fmt.Errorf("the peer's certificate, of %s, %w", subject(s.PeerCertificates[0]), err)}
			}
			return nil
		},
		// Whatever the peer says it accepts: it may name no CA, and its refusal has words.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &id.own, nil },
		// Every connection is proven anew.
		SessionTicketsDisabled: true,
		// Records of full size from the start: gradients are long.
		DynamicRecordSizingDisabled: true,
		Time:                        id.now,
	}
}

// verify says what is wrong with a certificate, whose issuers follow it, as the end of a sentence.
func (id *Identity) verify(chain []*x509.Certificate, usage x509.ExtKeyUsage) error {
	leaf, between := chain[0], x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if err := current(leaf, id.now()); err != nil {
		return err
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: id.roots, Intermediates: between, CurrentTime: id.now(), KeyUsages: []x509.ExtKeyUsage{usage}})
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		return fmt.Errorf("was not issued by the CA of this job, but by %s", name(leaf.Issuer.String()))
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return fmt.Errorf("is not for %s; a rank's has to have the extended key usages of servers and of clients, or none",
			map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "servers", x509.ExtKeyUsageClientAuth: "clients"}[usage])
	}
	return fmt.Errorf("is not valid: %w", err)
}

// current says that a certificate is not valid at this time, as the end of a sentence.
func current(c *x509.Certificate, now time.Time) error {
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("expired at %s, and the clock of this machine says %s", clock(c.NotAfter), clock(now))
	case now.Before(c.NotBefore):
		return fmt.Errorf("is valid from %s on, and the clock of this machine says %s", clock(c.NotBefore), clock(now))
	}
	return nil
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// subject names the owner of a certificate.
func subject(c *x509.Certificate) string { return name(c.Subject.String()) }

// name quotes what a certificate says, which may be of a stranger: one short line.
func name(s string) string {
	const most = 100
	return strconv.Quote(s[:min(len(s), most)])
}

// RankURI is the name by which a certificate says that its owner may be this rank of a job:
// a URI among its subject's alternative names (RFC 5280, 4.2.1.6).
func RankURI(job string, rank int) *url.URL {
	return &url.URL{Scheme: "vgid", Opaque: url.PathEscape(job) + "/rank/" + strconv.Itoa(rank)}
}

// Check compares whom a certificate is for with the rank that shows it, as far as it says
// that; its error is the end of a sentence. Where it names ranks (RankURI), this has to be one of them; where it names hosts or
// addresses, the host of addr, at which the rank is called. One without names is for every rank.
func Check(c *x509.Certificate, job string, rank int, addr string) error {
	var ranks []string
	for _, u := range c.URIs {
		if u.Scheme == "vgid" {
			ranks = append(ranks, u.String())
		}
	}
	if want := RankURI(job, rank).String(); len(ranks) > 0 && !slices.Contains(ranks, want) {
		return &Refusal{fmt.Errorf("is for %s, not for %s", name(strings.Join(ranks, ", ")), name(want))}
	}
	if len(c.DNSNames)+len(c.IPAddresses) == 0 {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	if c.VerifyHostname(host) == nil {
		return nil
	}
	hosts := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return &Refusal{fmt.Errorf("is for the host %s, not for %s, where rank %d is called", name(strings.Join(hosts, ", ")), name(host), rank)}
}

// Check is Check of the own certificate.
func (id *Identity) Check(job string, rank int, addr string) error {
	if err := Check(id.own.Leaf, job, rank, addr); err != nil {
		return fmt.Errorf("the certificate of this rank, of %s, %w", subject(id.own.Leaf), err)
	}
	return nil
}

// Refusal says that one end does not take what the other shows. Trying again is of no use.
type Refusal struct{ Err error }

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// Explain gives the error of a handshake in words, as a Refusal where it is one. In TLS 1.3
// a caller learns by its first read that the other end does not accept it, so that the error
// of that read is to be explained, too.
func Explain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" { // an alert (RFC 8446, 6)
		return &Refusal{fmt.Errorf("the peer does not accept the certificate of this rank (%w), and says why", op.Err)}
	}
	return err
}
